"""What once went wrong in silence: hanging ranks, tensors without a gradient, adapters and rates in the wrong place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from phidata.errors import UsageError
from phitrain.batch import collate
from phitrain.config import CHECKPOINTING, StrategyPart, config_from
from phitrain.models.adapter import Loading, open_adapter
from phitrain.sampler import Slot
from phitrain.strategy import prepare
from tests.trainer.conftest import Run

from .data import Kept, write_rows
from .reference import UNUSED

pytestmark = pytest.mark.processes

Tell = Callable[..., Any]
LLM = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
CLIP = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")
BLOCKS = {f"model.layers.{block}.{name}" for block in (0, 1) for name in LLM} | {"lm_head"}
EMBEDDING = "model.vision_embed_tokens"
VISION = {
    f"{EMBEDDING}.img_processor.vision_model.encoder.layers.{block}.{name}" for block in (0, 1) for name in CLIP
} | {f"{EMBEDDING}.img_projection.{number}" for number in (0, 2)}


@pytest.fixture(scope="module")
def folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traps")
    (folder / "model").symlink_to(model_folder)
    write_rows(folder / "data")
    return folder


@pytest.fixture(scope="module")
def told(run: Run, folder: Path) -> Any:
    """What one process says of the traps."""
    traps = ("saved", "cut", "rates", "adapters", "dropout", "small updates", "sums")
    done = run("-m", "tests.matrix.trapping", folder, *traps)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def adapted(model_folder: Path, **options: Any) -> Any:
    adapter = open_adapter(str(model_folder))
    strategy = StrategyPart(kind="lora", lora_rank=4, **options)
    torch.manual_seed(0)
    return prepare(
        adapter.load(Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu"))), strategy, adapter
    )


def with_adapters(module: Any) -> set[str]:
    names = [name for name, _ in module.named_parameters() if ".lora_A." in name]
    return {name.removeprefix("base_model.model.").partition(".lora_A.")[0] for name in names}


def test_ranks_with_text_and_with_images_train_and_answer_together(run: Run, folder: Path) -> None:
    done = run("-m", "tests.matrix.trapping", folder, "mixed ranks", processes=2)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["mixed ranks"]
    assert found["3"]["losses"] == pytest.approx(found["1"]["losses"], rel=5e-6)
    assert found["3"]["answers"] == found["1"]["answers"]
    assert len(found["3"]["answers"]) == 4


def test_the_block_that_never_runs_is_saved_as_it_was(told: Any, model_folder: Path) -> None:
    every = {name for name, _ in open_adapter(str(model_folder)).skeleton().named_parameters()}
    assert every - set(told["saved"]) == {name for name in every if any(part in name for part in UNUSED)}


def test_a_cut_model_is_stopped_in_every_strategy(told: Any) -> None:
    cut = "layers.0.self_attn.o_proj"
    names = [f"model.{cut}.weight"] * 2 + [f"base_model.model.model.{cut}.lora_B.default.weight"] * 2
    names.append("model.vision_embed_tokens.sub_GN")
    said = [f"1 trainable tensors get no gradient in the first step: {name}; training was stopped" for name in names]
    assert told["cut"] == dict(zip(("full", "frozen-vision", "lora", "qlora", "separator"), said, strict=True))


def test_each_part_has_its_own_learning_rate(told: Any) -> None:
    for stage in ("0", "1", "3"):
        assert told["rates"][stage]["told"] == pytest.approx({"llm": 1e-2, "projector": 2e-3, "vision": 1e-4})
        assert told["rates"][stage]["last"] == pytest.approx([1e-4 / 3, 2e-3 / 3, 1e-2 / 3])


@pytest.mark.parametrize("kind", ["dora", "rslora"])
def test_other_adapters_train_alike_in_every_stage(told: Any, kind: str) -> None:
    first, *others = told["adapters"][kind]
    assert first[-1] < first[0] - 0.5
    assert others == [pytest.approx(first, rel=5e-6)] * 3


def test_dora_on_four_bits_is_refused_in_stage_3() -> None:
    with pytest.raises(UsageError, match="found --zero 3; use --zero 2"):
        config_from({"strategy": {"kind": "qlora", "dora": True}, "train": {"zero": 3}})


def test_lora_dropout_trains(told: Any) -> None:
    without, dropped = told["dropout"]
    assert dropped[:2] == without[:2]  # until the first update an adapter says nothing
    assert dropped[-1] != without[-1]
    assert dropped[-1] < dropped[0] - 0.5


def test_updates_too_small_for_the_weights_add_up_in_the_master_weights(told: Any) -> None:
    assert sorted(told["small updates"]) == [f"{kind}, {stage}" for kind in ("bf16", "fp16") for stage in (1, 2, 3)]
    for changed, moved, furthest in told["small updates"].values():
        assert changed == 0
        assert moved > 0.5
        assert 3 < furthest < 4.1


def test_gradients_in_half_precision_are_added_up_without_rounding(told: Any) -> None:
    assert told["sums"] == {stage: pytest.approx(0, abs=1e-6) for stage in "123"}


def test_adapters_are_where_the_published_scripts_put_them(model_folder: Path) -> None:
    module = adapted(model_folder)
    assert with_adapters(module) == BLOCKS | VISION
    assert module.peft_config["default"].lora_alpha == 8


def test_adapters_start_gaussian_and_without_effect(model_folder: Path) -> None:
    parameters = {name: value.detach() for name, value in adapted(model_folder).named_parameters()}
    first = torch.cat([value.flatten() for name, value in parameters.items() if ".lora_A." in name])
    assert float(first.std()) == pytest.approx(1 / 4, rel=0.03)
    assert float(first.mean()) == pytest.approx(0, abs=0.01)
    assert float(first.abs().max()) > 3 / 4  # a uniform draw would end at 0.43
    assert not any(value.any() for name, value in parameters.items() if ".lora_B." in name)


def test_no_adapters_in_a_frozen_vision_part(model_folder: Path) -> None:
    assert with_adapters(adapted(model_folder, freeze_vision=True)) == BLOCKS


@pytest.mark.parametrize("checkpointing", CHECKPOINTING)
def test_behind_frozen_vision_every_llm_tensor_gets_a_gradient(folder: Path, checkpointing: str) -> None:
    adapter = open_adapter(str(folder / "model"))
    loading = Loading(dtype=torch.float32, attention="sdpa", device=torch.device("cpu"), checkpointing=checkpointing)
    module = prepare(adapter.load(loading), StrategyPart(kind="frozen-vision"), adapter).train()
    samples = Kept(folder / "data", "one image", adapter.preprocessor)
    batch = collate([samples[Slot(row=0)]], adapter.preprocessor.pad_id)
    adapter.loss_sum(module, batch.inputs, batch.labels).backward()
    llm = {name: value for name, value in module.named_parameters() if "vision_embed_tokens" not in name}
    assert "model.embed_tokens.weight" in llm
    assert [name for name, value in llm.items() if value.grad is None or not value.grad.any()] == []
    assert {name for name, value in module.named_parameters() if value.grad is not None} == llm.keys()
