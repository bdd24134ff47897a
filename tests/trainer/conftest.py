"""A model of the published shape, small enough to train in a second, and data folders for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

Run = Callable[..., "subprocess.CompletedProcess[str]"]
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (20, 40, 230)}


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def write_model(folder: Path) -> Path:
    """A phi3_v folder with random weights: 2 decoder layers of 32, 3 CLIP layers of 16."""
    from phitrain.models.phi3v import Phi3VConfig, Phi3VForCausalLM, Phi3VProcessor

    torch.manual_seed(0)
    config = Phi3VConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=131072,
        original_max_position_embeddings=4096,
        initializer_range=0.1,
        rope_scaling={"type": "su", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4},
        vision_config={"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2},
    )
    Phi3VForCausalLM(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"num_crops": 1}')
    with as_file(files("phitrain.models.phi3v.tokenizer")) as tokenizer:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes((tokenizer / name).read_bytes())
    Phi3VProcessor.from_pretrained(folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven training rows: six pictures of a colour, one of them with two turns, and one row of text alone."""
    rows = [row(f"train-{number}", [list(COLOURS)[number % 3]]) for number in range(5)]
    rows.append(row("train-two-turns", ["red", "blue"]))
    rows.append({**row("train-text", []), "conversations": [turn([], "Say <|end|> nothing.", "Fine.")]})
    return write_data(tmp_path_factory.mktemp("data"), train=rows, val=rows[4:])


def turn(images: list[str], user: str, assistant: str) -> dict[str, Any]:
    return {"images": images, "user": user, "assistant": assistant}


def row(name: str, colours: list[str]) -> dict[str, Any]:
    """A conversation with one turn a colour, one picture each."""
    turns = [turn([f"{colour}.png"], "Which colour?", colour) for colour in colours]
    return {"id": name, "source": "colours", "conversations": turns}


def write_data(folder: Path, **splits: list[dict[str, Any]]) -> Path:
    (folder / "images").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (30, 20), colour).save(folder / "images" / f"{name}.png")
    for split, rows in splits.items():
        (folder / f"colours_{split}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    return folder


@pytest.fixture(scope="session")
def run() -> Run:
    """Run python with arguments in a process of its own, one thread, output as text."""

    def run_python(*arguments: str | Path, processes: int = 1) -> subprocess.CompletedProcess[str]:
        line = python_line(arguments, processes)
        return subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=240)

    return run_python


def python_line(arguments: Sequence[str | Path], processes: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [sys.executable, *(launcher if processes > 1 else []), *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def train_line(model: Path, data: Path, output: Path, *flags: str) -> list[str]:
    places = f"--model_name_or_path {model} --data_dir {data} --output_dir {output} --num_crops 1"
    return ["-m", "phitrain", "train", "ucf101", *places.split(), *flags]
