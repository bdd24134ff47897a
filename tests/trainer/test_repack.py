"""`phitrain export`: a model folder or a checkpoint as a folder to hand on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from phidata.errors import DataError, UsageError
from phitrain.config import config_from
from phitrain.models.adapter import open_adapter
from phitrain.quantisation import quantisation_by_rule, read_quantisation
from phitrain.repack import Exported, export
from phitrain.shards import entries_of, write_shards

from .tuned import PEFT_WARNS, furthest, loaded, logits, tuned

pytestmark = PEFT_WARNS

TOWER = "model.vision_embed_tokens.img_processor.vision_model."


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}


def checkpoint(
    output: Path, model: Path, trained: Mapping[str, Tensor], precision: str = "fp32", **strategy: Any
) -> Path:
    """What a run leaves after step 20, in two shards; `strategy` is its configuration's."""
    folder = output / "checkpoint-20"
    folder.mkdir(parents=True)
    state = {f"{kind}/{name}": value.float() for kind in ("master", "exp_avg") for name, value in trained.items()}
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    write_shards(folder, entries_of(shapes, torch.float32), state.items(), stem="state", max_bytes=5_000_000)
    save_file({"cpu/0": torch.get_rng_state()}, folder / "random.safetensors")
    config = config_from(
        {"model": {"name_or_path": str(model), "precision": precision}, "strategy": strategy, "data": {"dir": "none"}}
    ).as_dict()
    facts = {"format": 1, "step": 20, "config": config, "model": open_adapter(str(model)).fingerprint()}
    (output / "train_config.json").write_text(json.dumps(config))
    files = {file.name: described(file) for file in folder.iterdir()}
    (folder / "checkpoint.json").write_text(json.dumps({**facts, "files": files}))
    return folder


def described(file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@pytest.fixture(scope="module")
def full(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in which every weight that is trained is one larger than it was."""
    state = load_file(model_folder / "model.safetensors")
    trained = {name: value + 1 for name, value in state.items() if not never_runs(name)}
    return checkpoint(tmp_path_factory.mktemp("full") / "run", model_folder, trained, kind="full")


def never_runs(name: str) -> bool:
    return name.startswith((TOWER + "encoder.layers.2.", TOWER + "post_layernorm."))


def test_a_model_folder_is_written_in_another_type_and_shards(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("# mine\n")
    done = export(tmp_path / "model", tmp_path / "out", dtype=torch.bfloat16, max_shard_bytes=2_500_000)
    assert done == Exported(kind="model", dtype="bfloat16", num_tensors=76)
    before, after = weights(model_folder), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], value.bfloat16()) for name, value in before.items())
    assert len(list((tmp_path / "out").glob("model-0000?-of-00002.safetensors"))) == 2
    assert (tmp_path / "out" / "README.md").read_text() == "# mine\n"
    assert export(tmp_path / "out", tmp_path / "again").dtype == "bfloat16"
    assert all(torch.equal(value, after[name]) for name, value in weights(tmp_path / "again").items())


def test_a_checkpoint_becomes_a_model_with_what_was_frozen(full: Path, model_folder: Path, tmp_path: Path) -> None:
    done = export(full, tmp_path / "out")
    assert done == Exported(kind="model", dtype="float32", num_tensors=76)
    before, after = weights(model_folder), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(after[name], value if never_runs(name) else value + 1)
    loaded(open_adapter(str(tmp_path / "out")))


def test_a_checkpoint_has_the_runs_precision(model_folder: Path, tmp_path: Path) -> None:
    norm = {"model.norm.weight": torch.full((32,), 1.001)}
    folder = checkpoint(tmp_path / "run", model_folder, norm, "bf16", kind="frozen-vision")
    assert export(folder, tmp_path / "out").dtype == "bfloat16"
    assert weights(tmp_path / "out")["model.norm.weight"].tolist() == [1.0] * 32
    assert export(folder, tmp_path / "exact", dtype=torch.float32).dtype == "float32"
    assert torch.equal(weights(tmp_path / "exact")["model.norm.weight"], norm["model.norm.weight"])


@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_a_checkpoint_of_adapters_becomes_an_adapter_folder(kind: str, model_folder: Path, tmp_path: Path) -> None:
    adapter, module = tuned(model_folder, kind)
    trained = {name: value.detach() for name, value in module.named_parameters() if ".lora_" in name}
    folder = checkpoint(tmp_path / "run", model_folder, trained, kind=kind, lora_rank=4)
    assert export(folder, tmp_path / "out") == Exported(kind="adapters", dtype="float32", num_tensors=46)
    expected = quantisation_by_rule(adapter, torch.float32) if kind == "qlora" else None
    assert read_quantisation(tmp_path / "out") == expected
    again = loaded(open_adapter(str(tmp_path / "out")), four_bit=kind == "qlora")
    assert furthest(logits(again), logits(module)) == 0.0


def test_the_card_tells_what_was_measured_up_to_the_checkpoint(full: Path, tmp_path: Path) -> None:
    score = {"accuracy": {"mean": 0.5, "low": 0.25, "high": 0.75}}
    evaluation = {"metrics": ["accuracy"], "splits": {"val": {"num_rows": 4, "num_turns": 4, "scores": score}}}
    for when in ("before", "step_20", "step_40", "after"):
        (full.parent / f"eval_{when}.json").write_text(json.dumps(evaluation))
    export(full, tmp_path / "out")
    lines = (tmp_path / "out" / "README.md").read_text().splitlines()
    assert "# out" in lines
    assert "| steps | 20 of 16 conversations each |" in lines
    assert "| split | metric | answers | before | step 20 |" in lines


def test_adapters_are_not_exported_but_merged(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="holds adapters, which are exported already; `phitrain merge` makes a model"):
        export(tmp_path, tmp_path / "out")


def test_a_checkpoint_without_its_mark_is_refused(full: Path, tmp_path: Path) -> None:
    shutil.copytree(full, tmp_path / "checkpoint-20")
    (tmp_path / "checkpoint-20" / "checkpoint.json").unlink()
    with pytest.raises(DataError, match=r"checkpoint-20 has no checkpoint\.json: it is not a whole checkpoint"):
        export(tmp_path / "checkpoint-20", tmp_path / "out")


def test_a_damaged_checkpoint_is_refused_by_file(full: Path, tmp_path: Path) -> None:
    shutil.copytree(full, tmp_path / "checkpoint-20")
    shard = next((tmp_path / "checkpoint-20").glob("state-00002-of-*.safetensors"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=rf"{shard.name} has {len(whole) - 1} bytes, not {len(whole)}"):
        export(tmp_path / "checkpoint-20", tmp_path / "out")
    shard.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(DataError, match=rf"{shard.name} is damaged"):
        export(tmp_path / "checkpoint-20", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_frozen_weights_of_another_model_are_refused(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    folder = checkpoint(tmp_path / "run", tmp_path / "model", {"model.norm.weight": torch.ones(32)}, kind="full")
    state = load_file(tmp_path / "model" / "model.safetensors")
    save_file({**state, "lm_head.weight": state["lm_head.weight"].bfloat16()}, tmp_path / "model/model.safetensors")
    with pytest.raises(DataError, match=r"is not the model that the run of .*checkpoint-20 started from"):
        export(folder, tmp_path / "out")


def test_nothing_is_written_over_another_folder(model_folder: Path, full: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    for folder in (model_folder, full):
        with pytest.raises(UsageError, match="exists and is not an empty folder"):
            export(folder, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]
