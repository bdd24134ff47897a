"""The golden files as test cases: values computed by running the original model code."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from conftest import golden_root
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

GOLDEN = golden_root()
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])

Case = dict[str, Any]


@cache
def read(name: str) -> Any:
    """A JSON file; the cut writes long lists of integers as runs."""
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"), object_hook=_expanded)


@cache
def tensors(name: str) -> dict[str, Tensor]:
    return load_file(GOLDEN / name)


def image(folder: str, name: str) -> Image.Image:
    """One of the pictures beside the cases, in the mode it was stored in."""
    with Image.open(GOLDEN / folder / "images" / name) as picture:
        picture.load()
    return picture


def cases(model: str, *, dtype: str = "float32") -> list[Case]:
    """The forward cases of a tiny model; the one in bfloat16 is asked for by name."""
    return [
        case for case in read(f"{model}/cases.json") if ("bfloat16" in case.get("dtype", "")) == (dtype != "float32")
    ]


def has_vocabulary(model: str) -> bool:
    """Whether the whole vocabulary is there; the cut keeps only the embedding rows that its cases use."""
    return "model.embed_tokens.rows" not in tensors(f"{model}/model.safetensors")


def write_model_folder(model: str, folder: Path) -> Path:
    """A tiny model as a published folder: hub names, bfloat16, and the CLIP sizes in `vision_config`."""
    folder.mkdir(parents=True, exist_ok=True)
    config = read(f"{model}/config.json") | {"vision_config": read(f"{model}/clip_config.json")}
    (folder / "config.json").write_text(json.dumps(config))
    weights = dict(tensors(f"{model}/model.safetensors"))
    if not has_vocabulary(model):
        rows, kept = weights.pop("model.embed_tokens.rows"), weights.pop("model.embed_tokens.kept")
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            weights[name] = torch.zeros(config["vocab_size"], config["hidden_size"], dtype=torch.bfloat16)
        weights["model.embed_tokens.weight"][rows] = kept
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def stacked_crops(indices: list[int], slots: int) -> Tensor:
    """`pixel_values` of tiny_gqa's images, whose crops are stored as pictures one above the other."""
    pixels = torch.zeros(len(indices), slots, 3, 336, 336)
    for row, index in zip(pixels, indices, strict=True):
        picture = image("tiny_gqa", f"image{index}.png")
        levels = torch.tensor(list(picture.convert("RGB").tobytes()), dtype=torch.uint8)
        crops = levels.view(-1, 336, 336, 3).float() / 255
        row[: len(crops)] = ((crops - MEAN) / STD).permute(0, 3, 1, 2)
    return pixels


def _expanded(entry: dict[str, Any]) -> Any:
    if entry.keys() != {"runs"}:
        return entry
    return [value for value, count in entry["runs"] for _ in range(count)]
