"""The plan counts what is trained, and tells before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from phitrain.cli import main
from phitrain.config import StrategyPart, config_from
from phitrain.flops import Work
from phitrain.models.adapter import Loading, open_adapter
from phitrain.plan import memory_of, num_trained
from phitrain.strategy import prepare

STRATEGIES = [
    StrategyPart(),
    StrategyPart(kind="frozen-vision"),
    StrategyPart(kind="frozen-vision", train_projector=True),
    StrategyPart(kind="lora", lora_rank=4),
    StrategyPart(kind="lora", lora_rank=4, freeze_vision=True),
    StrategyPart(kind="lora", lora_rank=4, dora=True),
]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks transformers for a name that it has renamed
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_as_many_numbers_are_trained_as_are_planned(strategy: StrategyPart, model_folder: Path) -> None:
    adapter = open_adapter(str(model_folder))
    loading = Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu"))
    module = prepare(adapter.load(loading), strategy, adapter)
    trained = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    assert num_trained(adapter.layers, strategy) == trained


def test_stages_and_offload_divide_and_move_the_state(model_folder: Path) -> None:
    layers = open_adapter(str(model_folder)).layers
    work = Work(lengths=(100,), num_crops=2, num_supervised=4, shape=(1, 100), num_crops_run=2)

    def state(zero: int, offload: str = "none") -> tuple[int, int, int]:
        train = {"zero": zero, "offload": offload}
        found = memory_of(config_from({"model": {"precision": "bf16"}, "train": train}), layers, 4, work)
        return found.weights, found.gradients, found.optimizer

    whole, trained = layers.num_values, layers.num_values - layers.num_idle_values
    assert state(1) == (2 * whole, 2 * trained, 12 * trained // 4)
    assert state(2) == (2 * whole, 2 * trained // 4, 12 * trained // 4)
    assert state(3) == (2 * whole // 4, 2 * trained // 4, 12 * trained // 4)
    assert state(2, "optimizer") == (2 * whole, 2 * trained // 4, 0)
    assert state(3, "parameters") == (0, 2 * trained // 4, 0)


def test_a_dry_run_tells_and_changes_nothing(
    model_folder: Path, data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"--model_name_or_path": model_folder, "--data_dir": data_folder, "--output_dir": tmp_path / "out"}
    words = [str(word) for pair in places.items() for word in pair]
    flags = ["--dry-run", "--format", "json", "--batch_size", "4", "--eval_splits", "val", "--num_crops", "1"]
    assert main(["train", "ucf101", *words, *flags]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["config"]["train"]["batch_size"] == 4
    assert told["config"]["model"]["precision"] in ("fp32", "bf16", "fp16")
    assert (told["plan"]["steps"], told["plan"]["num_samples"]) == (2, 7)
    assert told["plan"]["memory"]["device"] > 0
    assert not (tmp_path / "out").exists()
