"""Images/s and peak memory of full fine-tuning with random weights: page-shaped pictures, 2443 tokens a sample.

    python benchmarks/gpu.py                # the full size on a GPU (about 70 GB), the tiny size without one
    python benchmarks/gpu.py --size small --steps 5 --attention flash_attention_2

Runs `phitrain train` as it is: rows on disk, images opened and preprocessed, DeepSpeed with AdamW in fp32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from PIL import Image

import phidata
from phidata import Conversation, Turn
from phitrain.batch import Samples
from phitrain.config import config_from
from phitrain.create import create_model_folder
from phitrain.engine import close_world, open_world
from phitrain.models.adapter import Preprocessor, open_adapter
from phitrain.recipes import read_recipe
from phitrain.render import render
from phitrain.trainer import train

PAGE = (1000, 1660)  # with num_crops 16: five rows of three crops, 2377 tokens
NUM_CROPS = 16
WARM = 3  # steps that are not timed


def main() -> None:
    has_cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["tiny", "small", "full"], default="full" if has_cuda else "tiny")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=1, help="samples a forward pass and a step")
    parser.add_argument("--tokens", type=int, default=2443)
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--zero", type=int, default=1)
    parser.add_argument("--no-checkpointing", action="store_true", help="keep all activations")
    options = parser.parse_args()
    if options.steps <= WARM:
        parser.error(f"--steps must be more than the {WARM} that are not timed")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        create_model_folder(root / "model", options.size, num_crops=NUM_CROPS)
        write_rows(root / "data", open_adapter(str(root / "model")).preprocessor, options.tokens, 4 * options.batch)
        config = config_from(
            read_recipe("ucf101"),
            {
                "model": {
                    "name_or_path": str(root / "model"),
                    "num_crops": NUM_CROPS,
                    "precision": "bf16",
                    "attention": options.attention,
                    "gradient_checkpointing": "off" if options.no_checkpointing else "on",
                },
                "data": {"dir": str(root / "data"), "num_workers": 2},
                "train": {
                    "output_dir": str(root / "out"),
                    "max_steps": options.steps,
                    "batch_size": options.batch,
                    "batch_size_per_gpu": options.batch,
                    "zero": options.zero,
                    "tqdm": False,
                },
                "eval": {"splits": []},
            },
        )
        train(config, open_world())
        close_world()
        steps = [json.loads(line) for line in (root / "out" / "log.jsonl").read_text().splitlines()]
    timed = steps[WARM:]
    seconds = sum(step["seconds"] for step in timed)
    device = torch.cuda.get_device_name() if has_cuda else f"CPU, {torch.get_num_threads()} threads"
    print(f"{options.size} model, bf16, {options.attention}, ZeRO {options.zero}, {device}")
    print(f"{len(timed)} steps of {options.batch} x {options.tokens} tokens after {WARM} warm ones")
    print(f"images/s     {options.batch * len(timed) / seconds:.2f}")
    print(f"tokens/s     {options.batch * options.tokens * len(timed) / seconds:,.0f}")
    print(f"peak memory  {max(step['peak_memory_bytes'] for step in steps) / 2**30:.2f} GiB")
    print(f"loss         {steps[0]['loss']:.4f} -> {steps[-1]['loss']:.4f}")


def write_rows(folder: Path, preprocessor: Preprocessor, tokens: int, count: int) -> None:
    """A data folder of `count` rows with one page each and a question that fills the row to exactly `tokens`."""
    (folder / "images").mkdir(parents=True)
    image_tokens = preprocessor.num_image_tokens(*PAGE)
    rows = []
    for number in range(count):
        Image.effect_noise(PAGE, 60).convert("RGB").save(folder / "images" / f"{number}.jpg", quality=75)
        rows.append(fitted(f"page-{number}", f"{number}.jpg", image_tokens, tokens, preprocessor))
    (folder / "pages_train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = Samples(phidata.load(folder, split="train"), preprocessor)
    for row in range(count):
        samples.check(row)


def fitted(name: str, image: str, image_tokens: int, tokens: int, preprocessor: Preprocessor) -> dict[str, object]:
    """One row whose question is as long as it takes."""
    answer = "The total is 42."
    for words in range(tokens):
        user = "Read" + " the" * words
        turn = Turn(images=(image,), user=user, assistant=answer)
        row = Conversation(id=name, source="benchmark", conversations=(turn,))
        length = len(render(row, [image_tokens], preprocessor.chat))
        if length == tokens:
            entry = {"images": [image], "user": user, "assistant": answer}
            return {"id": name, "source": "benchmark", "conversations": [entry]}
        if length > tokens:
            break
    raise SystemExit(f"--tokens {tokens} is too few: the page alone takes {image_tokens}")


if __name__ == "__main__":
    main()
