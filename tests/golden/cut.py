"""Cut the complete golden values down to one case of every kind: python tests/golden/cut.py COMPLETE/phi3v"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent / "phi3v"
PICTURES = {
    "640x480_RGB",
    "480x640_RGB",
    "336x336_RGB",
    "100x80_RGB",
    "260x410_L",
    "37x500_RGB",
    "500x37_RGB",
    "700x250_RGBA",
    "1x1_RGB",
}
PROCESSOR_CASES = {"640x480_RGB_nc4", "260x410_L_nc4", "37x500_RGB_nc16", "700x250_RGBA_nc4", "1x1_RGB_nc4"}
GQA = {
    "text",
    "text_long",
    "image1",
    "two_images_long",
    "batch_right2",
    "batch_left_posids",
    "text.yarn",
    "text_long.norope_scaling",
    "text_long.sliding100",
}
GQA_GRADIENTS = {"image1", "batch_right2"}
MOST_VALUES = 6_000  # of a gradient tensor
THINNER = 16  # of the positions that the complete set keeps, every n-th
STRIDED = ("hidden", "inputs_embeds", "img_projected")
MHA = {"wide", "tall", "wide_bf16", "batch_img_text", "text"}
MHA_PICTURES = {"wide.png", "tall.png"}


def main(complete: Path) -> None:
    os.umask(0o022)
    shutil.rmtree(HERE, ignore_errors=True)
    shutil.copytree(
        complete / "hub_configs",
        HERE / "hub_configs",
        ignore=shutil.ignore_patterns("*token*"),
        copy_function=shutil.copyfile,
    )
    write(HERE / "hub_configs" / "checkpoint_shapes.json", read(complete / "hub_configs" / "checkpoint_shapes.json"))
    shutil.copytree(complete / "rope", HERE / "rope")
    cut_processor(complete / "processor", HERE / "processor")
    cut_gqa(complete / "tiny_gqa", HERE / "tiny_gqa")
    cut_mha(complete / "tiny_mha", HERE / "tiny_mha")
    for file in HERE.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    size = sum(file.stat().st_size for file in HERE.rglob("*") if file.is_file())
    sys.stdout.write(f"{size:,} bytes\n")


def cut_processor(source: Path, target: Path) -> None:
    copy_files(source / "images", target / "images", {f"{name}.png" for name in PICTURES})
    keep = {name.rsplit("_nc", 1)[0] for name in PROCESSOR_CASES}
    assert keep <= PICTURES
    write(target / "cases.json", [case for case in read(source / "cases.json") if case["key"] in PROCESSOR_CASES])
    write(target / "size_table.json", read(source / "size_table.json"))
    prompts = read(source / "prompts.json")
    have = {f"{name}.png" for name in PICTURES}
    for kind in ("prompts", "errors"):
        prompts[kind] = [case for case in prompts[kind] if set(case["images"]) <= have]
    write(target / "prompts.json", prompts)
    cut(
        source / "samples.safetensors",
        target / "samples.safetensors",
        lambda key: key.rsplit(".", 1)[0] in PROCESSOR_CASES,
    )
    [(key, whole)] = load_file(source / "full.safetensors").items()
    save_file({key: whole[:, ::7, ::7].contiguous()}, target / "full.safetensors")


def cut_gqa(source: Path, target: Path) -> None:
    copy_files(source, target, {"config.json", "clip_config.json", "images.json", "model.safetensors"})
    shutil.copytree(source / "images", target / "images")
    write(target / "cases.json", thinner(case for case in read(source / "cases.json") if case["name"] in GQA))
    write(target / "generate.json", [case for case in read(source / "generate.json") if case.get("revision") != "phi3"])

    def keeps(key: str) -> bool:
        name, _, quantity = key.rpartition(".")
        return (name in GQA and (quantity != "logits" or name == "text")) or key.startswith("generate_switch_phi35")

    cut(source / "outputs.safetensors", target / "outputs.safetensors", keeps)
    gradients = load_file(source / "grads.safetensors").items()
    kept = {
        key: value for key, value in gradients if key.split("|")[0] in GQA_GRADIENTS and value.numel() < MOST_VALUES
    }
    save_file(kept, target / "grads.safetensors")


def cut_mha(source: Path, target: Path) -> None:
    copy_files(source, target, {"config.json", "clip_config.json"})
    copy_files(source / "images", target / "images", MHA_PICTURES)
    cases = [case for case in read(source / "cases.json") if case["name"] in MHA]
    write(target / "cases.json", thinner(cases))
    write(target / "generate.json", [])
    used = {token for case in cases for row in case["input_ids"] for token in row if token >= 0}
    rows = torch.tensor(sorted(used))
    weights = load_file(source / "model.safetensors")
    weights.pop("lm_head.weight")
    weights["model.embed_tokens.kept"] = weights.pop("model.embed_tokens.weight")[rows]
    weights["model.embed_tokens.rows"] = rows
    save_file(weights, target / "model.safetensors")

    def keeps(key: str) -> bool:
        name, _, quantity = key.rpartition(".")
        return name in MHA and quantity not in ("logsumexp", "logits", "logits_last")

    cut(source / "outputs.safetensors", target / "outputs.safetensors", keeps)
    save_file({}, target / "grads.safetensors")


def thinner(cases: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [case | {"stride": case["stride"] * THINNER} for case in cases]


def cut(source: Path, target: Path, keeps: Callable[[str], bool]) -> None:
    save_file({key: thin(key, value) for key, value in load_file(source).items() if keeps(key)}, target)


def thin(key: str, value: torch.Tensor) -> torch.Tensor:
    quantity = key.rsplit(".", 1)[1]
    if quantity == "global":
        return value[:, ::2, ::2].contiguous()
    if quantity not in STRIDED:
        return value
    return (value[::THINNER] if quantity == "img_projected" else value[:, ::THINNER]).contiguous()


def copy_files(source: Path, target: Path, names: Iterable[str]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(names):
        shutil.copyfile(source / name, target / name)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, value: Any) -> None:
    text = json.dumps(shortened(value), ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def shortened(value: Any) -> Any:
    """Long lists of integers as runs: {"runs": [[value, count], ...]}."""
    if isinstance(value, dict):
        return {key: shortened(entry) for key, entry in value.items()}
    if isinstance(value, list) and len(value) > 100 and all(isinstance(entry, int) for entry in value):
        return {"runs": [[entry, len(list(same))] for entry, same in groupby(value)]}
    return [shortened(entry) for entry in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]))
