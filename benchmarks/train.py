"""Training samples/s beside the Hugging Face Trainer: same model, same rows, same optimizer and schedule, one run.

    python benchmarks/train.py [--steps 20] [--size tiny] [--batch 6]

Every step takes all six training clips of examples/ucf101_subset (8 frames each), so that the order of the rows does
not matter and the losses of both can be compared. Both read and preprocess the images in the training process.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import phidata
from phitrain.batch import Batch, Samples, Slot, collate
from phitrain.config import Config, config_from
from phitrain.create import create_model_folder
from phitrain.engine import close_world, open_world, weight_decay_groups
from phitrain.models.adapter import Loading, open_adapter
from phitrain.recipes import read_recipe
from phitrain.trainer import learning_rate, train

CLIPS = Path(__file__).parents[1] / "examples" / "ucf101_subset"
WARM = 3  # steps that are not timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--batch", type=int, default=6, help="rows a forward pass")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        phidata.convert("ucf101", source=CLIPS, out=root / "data")
        create_model_folder(root / "model", options.size, num_crops=1)
        config = configured(root, options.steps, options.batch)
        rows = len(phidata.load(root / "data", split="train"))
        assert config.train.batch_size == rows
        results = {"HF Trainer": hf_trainer(config, root), "phitrain": phitrain(config)}
    threads = torch.get_num_threads()
    print(f"{options.size} model, {rows} rows a step of 8 frames, {options.steps} steps, {threads} threads")
    print(f"{'':<12} {'samples/s':>10} {'first loss':>11} {'last loss':>11}")
    for name, (seconds, losses) in results.items():
        speed = rows * len(seconds[WARM:]) / sum(seconds[WARM:])
        print(f"{name:<12} {speed:>10.2f} {losses[0]:>11.5f} {losses[-1]:>11.5f}")


def configured(root: Path, steps: int, batch: int) -> Config:
    return config_from(
        read_recipe("ucf101"),
        {
            "model": {
                "name_or_path": str(root / "model"),
                "precision": "fp32",
                "num_crops": 1,
                "gradient_checkpointing": "off",
            },
            "data": {"dir": str(root / "data")},
            "optimizer": {"learning_rate": 2e-3, "warmup_steps": 5},
            "train": {
                "output_dir": str(root / "out"),
                "max_steps": steps,
                "batch_size": 6,
                "batch_size_per_gpu": batch,
                "zero": 0,
                "tqdm": False,
            },
            "eval": {"splits": []},
        },
    )


def phitrain(config: Config) -> tuple[list[float], list[float]]:
    """Seconds and loss of each step, as its log says."""
    train(config, open_world())
    close_world()
    lines = (Path(config.train.output_dir) / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line) for line in lines]
    return [step["seconds"] for step in steps], [step["loss"] for step in steps]


def hf_trainer(config: Config, root: Path) -> tuple[list[float], list[float]]:
    """The same through transformers.Trainer: our model and padded batches, torch's AdamW, the recipe's schedule."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    adapter = open_adapter(config.model.name_or_path, config.model.num_crops)
    samples = Samples(phidata.load(config.data.dir, split="train"), adapter.preprocessor)
    module: Any = adapter.load(Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu")))
    optimizer = torch.optim.AdamW(
        weight_decay_groups(module, config.optimizer.weight_decay),
        lr=config.optimizer.learning_rate,
        betas=config.optimizer.betas,
        eps=config.optimizer.eps,
    )
    total = config.train.max_steps
    assert total is not None
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: learning_rate(config, done + 1, total) / config.optimizer.learning_rate
    )
    per_step = config.train.batch_size // config.train.batch_size_per_gpu
    clock = make_clock()
    trainer = transformers.Trainer(
        model=module,
        args=transformers.TrainingArguments(
            output_dir=str(root / "hf"),
            max_steps=total,
            per_device_train_batch_size=config.train.batch_size_per_gpu,
            gradient_accumulation_steps=per_step,
            max_grad_norm=config.optimizer.max_grad_norm,
            logging_strategy="steps",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=Rows(samples),
        data_collator=lambda parts: model_inputs(collate(parts, adapter.preprocessor.pad_id)),
        optimizers=(optimizer, schedule),
        callbacks=[clock],
    )
    logging.disable(logging.INFO)
    trainer.train()
    return clock.seconds, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def model_inputs(batch: Batch) -> dict[str, Any]:
    return {**batch.inputs, "labels": batch.labels}


class Rows(torch.utils.data.Dataset[Any]):
    """Rows by number, as the Trainer asks for them."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> Any:
        return self.samples[Slot(row=row)]


def make_clock() -> Any:
    import transformers

    class StepClock(transformers.TrainerCallback):
        """Seconds between the ends of steps."""

        def __init__(self) -> None:
            self.seconds: list[float] = []
            self.last = 0.0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.last = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            now = time.perf_counter()
            self.seconds.append(now - self.last)
            self.last = now

    return StepClock()


if __name__ == "__main__":
    sys.exit(main())
