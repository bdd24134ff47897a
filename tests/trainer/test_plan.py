"""The plan counts what is trained and weighs what is allocated, and tells before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from phitrain.activations import Activations, activations
from phitrain.cli import main
from phitrain.config import Config, StrategyPart, config_from
from phitrain.create import model_config
from phitrain.fit import RESERVE, Way, first_fit, fits, is_tight
from phitrain.flops import Work
from phitrain.memory import Memory, memory_of, num_trained, weight_bytes
from phitrain.models.adapter import Loading, open_adapter
from phitrain.models.phi3v.layers import layers_of
from phitrain.plan import Machine, plan_lines, plan_run
from phitrain.strategy import prepare

from .conftest import Run

GIB = 2**30
STRATEGIES = [
    StrategyPart(),
    StrategyPart(kind="frozen-vision"),
    StrategyPart(kind="frozen-vision", train_projector=True),
    StrategyPart(kind="lora", lora_rank=4),
    StrategyPart(kind="lora", lora_rank=4, freeze_vision=True),
    StrategyPart(kind="lora", lora_rank=4, dora=True),
]
WAYS = (
    "0:fp32:none:frozen-vision:off",
    "1:bf16:none:full:on",
    "1:bf16:none:lora:off",
    "2:bf16:optimizer:full:on",
    "3:bf16:none:full:on",
)
PAGE = Work(lengths=(2600,), num_crops=17, num_supervised=16, shape=(1, 2600), num_crops_run=17)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks transformers for a name that it has renamed
@pytest.mark.parametrize("strategy", STRATEGIES, ids=str)
def test_as_many_numbers_are_trained_as_are_planned(strategy: StrategyPart, model_folder: Path) -> None:
    adapter = open_adapter(str(model_folder))
    loading = Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu"))
    module = prepare(adapter.load(loading), strategy, adapter)
    trained = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    assert num_trained(adapter.layers, strategy) == trained
    num_bytes = sum(parameter.nbytes for parameter in module.parameters())
    assert weight_bytes(adapter.layers, strategy, 4) == num_bytes


def test_packed_weights_take_the_bytes_that_are_planned(model_folder: Path) -> None:
    adapter = open_adapter(str(model_folder))
    loading = Loading(dtype=torch.bfloat16, attention="sdpa", device=torch.device("cpu"), four_bit=True)
    packed = plain = scales = 0
    for parameter in adapter.load(loading).parameters():
        state = getattr(parameter, "quant_state", None)
        plain += parameter.nbytes if state is None else 0
        packed += 0 if state is None else parameter.nbytes
        scales += 0 if state is None else state.absmax.nbytes + state.state2.absmax.nbytes
    strategy = StrategyPart(kind="qlora", lora_rank=4)
    without_adapters = weight_bytes(adapter.layers, strategy, 2) - 2 * num_trained(adapter.layers, strategy)
    assert without_adapters == pytest.approx(plain + packed + scales, rel=1e-3)


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.processes)])
def test_as_many_bytes_are_allocated_as_are_planned(run: Run, ranks: int) -> None:
    done = run(Path(__file__).with_name("weighing.py"), *WAYS, processes=ranks)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["case"] for line in found] == list(WAYS)
    for line in found:
        planned = line["device"] + line["host"]
        assert 0.95 < planned / line["most"] < 1.15, line


def test_stages_and_offload_divide_and_move_the_state(model_folder: Path) -> None:
    layers = open_adapter(str(model_folder)).layers
    work = Work(lengths=(100,), num_crops=2, num_supervised=4, shape=(1, 100), num_crops_run=2)

    def state(zero: int, offload: str = "none") -> tuple[int, int, int, int]:
        train = {"zero": zero, "offload": offload, "batch_size": 4}
        found = memory_of(config_from({"model": {"precision": "bf16"}, "train": train}), layers, 4, work)
        return found.weights, found.gradients, found.optimizer, found.host

    whole, trained = layers.num_values, layers.num_values - layers.num_idle_values
    assert state(1) == (2 * whole, 2 * trained, 12 * trained // 4, 0)
    assert state(2) == (2 * whole, 2 * trained // 4, 12 * trained // 4, 0)
    assert state(3) == (2 * whole // 4, 2 * trained // 4, 12 * trained // 4, 0)
    assert state(2, "optimizer") == (2 * whole, 0, 0, 18 * trained // 4)
    assert state(3, "parameters") == (0, 0, 0, 18 * trained // 4 + 2 * whole // 4)


def test_checkpointing_keeps_the_inputs_of_blocks_only() -> None:
    layers = layers_of(model_config("full"))
    kept = {
        kind: activations(layers, StrategyPart(), PAGE, width=2, checkpointing=kind, attention="flash_attention_2")
        for kind in ("off", "llm", "on")
    }
    assert {kind: round(found.peak / GIB, 1) for kind, found in kept.items()} == {"off": 20.7, "llm": 9.7, "on": 1.6}
    assert Activations(kept=3, working=4).peak == 7


def config_of(kind: str, **train: int) -> Config:
    model = {"precision": "bf16", "attention": "flash_attention_2"}
    return config_from({"model": model, "strategy": {"kind": kind}, "train": {"batch_size": 64, **train}})


def test_the_fastest_way_that_fits_is_found() -> None:
    layers = layers_of(model_config("full"))
    checkpointed = Way(gradient_checkpointing="on", zero=1)
    offloaded = Way(gradient_checkpointing="on", zero=3, offload="parameters")

    def way(kind: str, world_size: int, gigabytes: int) -> Way | None:
        found = first_fit(config_of(kind), layers, world_size, PAGE, gigabytes * 10**9)
        return None if found is None else found[0]

    assert way("full", 8, 80) == Way(gradient_checkpointing="off", zero=1)
    assert way("full", 8, 40) == checkpointed
    assert way("full", 8, 32) == Way(gradient_checkpointing="on", zero=2)
    assert way("full", 1, 24) == offloaded
    assert way("lora", 1, 24) == checkpointed
    assert way("lora", 1, 4) is None
    assert offloaded.flags == "--zero 3 --gradient_checkpointing --offload parameters"


def test_a_device_must_hold_what_is_not_counted_too() -> None:
    memory = Memory(weights=5, gradients=1, optimizer=1, activations=1, buffers=1, update=2, loading=3, host=0)
    assert memory.device == 9
    assert (fits(memory, 8 + RESERVE), fits(memory, 9 + RESERVE)) == (False, True)
    assert (is_tight(memory, 9 + RESERVE), is_tight(memory, 2 * RESERVE)) == (True, False)


def test_the_plan_says_whether_it_fits_and_what_would() -> None:
    layers, config = layers_of(model_config("full")), config_of("full", num_train_epochs=2)
    machine = Machine(name="NVIDIA L40S", memory_bytes=48 * 10**9, peak_flops=362e12, processes_a_host=4)
    plan = plan_run(config, layers, 4, [2500, 2600], [17, 17], 1000, machine=machine)
    assert (plan.steps, plan.steps_of_epoch, plan.tokens_of_sample) == (32, 16, 2550)
    assert plan.trained == layers.num_values - layers.num_idle_values
    assert plan.seconds_at_peak == pytest.approx(32 * plan.flops_of_step.model / (4 * 362e12))
    assert plan.hint == "--zero 1 --gradient_checkpointing"
    lines = plan_lines(plan, config, 4)
    assert any("does not fit; try --zero 1 --gradient_checkpointing" in line for line in lines)
    assert any(line.startswith("time") and "assumed" in line for line in lines)


def test_where_no_way_of_a_strategy_fits_another_is_named() -> None:
    layers = layers_of(model_config("full"))
    machine = Machine(name="small", memory_bytes=5 * 10**9)
    config = config_of("full", zero=3)
    plan = plan_run(config, layers, 1, [9000], [68], 10, machine=machine)
    assert plan.hint == "fewer --num_crops, or another device"
    wide = plan_run(config, layers, 1, [2600], [17], 10, machine=Machine(name="small", memory_bytes=12 * 10**9))
    assert wide.hint == "--zero 3 --gradient_checkpointing --offload parameters"
    assert plan_run(config, layers, 1, [2600], [17], 10).hint is None


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
    plan = told["plan"]
    assert (plan["steps"], plan["num_samples"], plan["num_looked_at"]) == (2, 7, 7)
    assert plan["memory"]["device"] > 0
    assert plan["hint"] is None
    assert not (tmp_path / "out").exists()
