"""What a run hands back: a model folder, or adapters that peft loads."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor

from phidata.errors import DataError
from phitrain.export import save_lora, save_model, save_weights
from phitrain.models.adapter import open_adapter
from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VProcessor

from .tuned import PEFT_WARNS, furthest, loaded, logits, save_tuned, tuned

pytestmark = PEFT_WARNS

PREFIX = "base_model.model."


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: value for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}


def test_a_saved_model_is_the_model(model_folder: Path, tmp_path: Path) -> None:
    module = Phi3VForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    save_model(open_adapter(str(model_folder), num_crops=3), module, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    found, expected = weights(tmp_path), module.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert Phi3VProcessor.from_pretrained(tmp_path).num_crops == 3
    again = Phi3VForCausalLM.from_pretrained(tmp_path)
    assert again.config.to_dict() == {**module.config.to_dict(), "_name_or_path": str(tmp_path)}


def test_weights_are_gathered_one_by_one_into_shards_of_a_type(model_folder: Path, tmp_path: Path) -> None:
    """In any order, as ZeRO gives them."""
    adapter = open_adapter(str(model_folder))
    state = load_file(model_folder / "model.safetensors")
    backwards = ((name, state[name]) for name in reversed(state))
    save_weights(adapter, backwards, tmp_path, dtype=torch.bfloat16, max_shard_bytes=2_500_000)
    assert len(list(tmp_path.glob("model-0000?-of-00002.safetensors"))) == 2
    again = Phi3VForCausalLM.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(again[name], value.bfloat16()) for name, value in state.items())
    assert json.loads((tmp_path / "config.json").read_text())["torch_dtype"] == "bfloat16"


def test_an_earlier_model_leaves_nothing_behind(model_folder: Path, tmp_path: Path) -> None:
    adapter, state = open_adapter(str(model_folder)), load_file(model_folder / "model.safetensors")
    (tmp_path / "log.jsonl").write_text("{}\n")
    for max_bytes in (2_500_000, 10_000_000, 2_500_000):
        save_weights(adapter, state.items(), tmp_path, dtype=torch.bfloat16, max_shard_bytes=max_bytes)
        shards = {file.name for file in tmp_path.glob("*.safetensors*")}
        names = [f"model-0000{at}-of-00002.safetensors" for at in (1, 2)] + ["model.safetensors.index.json"]
        assert shards == (set(names) if max_bytes < 10_000_000 else {"model.safetensors"})
    assert (tmp_path / "log.jsonl").is_file()


def test_weights_are_taken_to_the_end_where_the_disk_fails(model_folder: Path, tmp_path: Path) -> None:
    """Or the other ranks would wait for the first one to gather along."""
    adapter, state = open_adapter(str(model_folder)), load_file(model_folder / "model.safetensors")
    taken: list[str] = []

    def gathered() -> Iterator[tuple[str, Tensor]]:
        for name, value in state.items():
            taken.append(name)
            yield name, value

    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="can not be written"):
        save_weights(adapter, gathered(), tmp_path / "file", dtype=torch.float32)
    assert taken == list(state)


def test_a_failed_save_looks_like_no_model(model_folder: Path, tmp_path: Path) -> None:
    adapter, state = open_adapter(str(model_folder)), load_file(model_folder / "model.safetensors")
    state["model.norm.weight"] = torch.full((32,), 1e6)
    with pytest.raises(DataError, match=r"model\.norm\.weight has values beyond the range of fp16"):
        save_weights(adapter, state.items(), tmp_path, dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []


def test_files_are_as_readable_as_the_umask_says(model_folder: Path, tmp_path: Path) -> None:
    adapter, state = open_adapter(str(model_folder)), load_file(model_folder / "model.safetensors")
    before = os.umask(0o027)
    try:
        save_weights(adapter, state.items(), tmp_path, dtype=torch.float32)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o640}


@pytest.mark.parametrize("kind", ["lora", "dora", "rslora", "llm only"])
def test_adapters_are_written_as_peft_writes_them(kind: str, model_folder: Path, tmp_path: Path) -> None:
    adapter, module = tuned(model_folder, kind)
    save_tuned(adapter, module, tmp_path / "ours")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module.save_pretrained(tmp_path / "peft", save_embedding_layers=False)
    ours, by_peft = weights(tmp_path / "ours"), weights(tmp_path / "peft")
    assert ours.keys() == by_peft.keys()
    assert all(torch.equal(ours[name], by_peft[name]) for name in ours)
    configs = [json.loads((tmp_path / name / "adapter_config.json").read_text()) for name in ("ours", "peft")]
    assert sorted(configs[1].pop("target_modules")) == configs[0].pop("target_modules")
    assert configs[0] == configs[1]
    assert configs[0]["base_model_name_or_path"] == str(model_folder)


@pytest.mark.parametrize("kind", ["lora", "dora", "rslora", "qlora"])
def test_peft_loads_adapters_onto_the_published_class(kind: str, model_folder: Path, tmp_path: Path) -> None:
    adapter, module = tuned(model_folder, kind)
    save_tuned(adapter, module, tmp_path)
    base = loaded(adapter, four_bit=kind == "qlora")
    again: Any = PeftModel.from_pretrained(base, str(tmp_path)).eval()
    assert furthest(logits(again), logits(module)) == 0.0
    assert Phi3VProcessor.from_pretrained(tmp_path).num_crops == 1
    assert (tmp_path / "base_quantisation.json").is_file() == (kind == "qlora")


def test_the_layers_that_never_run_get_no_adapters(model_folder: Path, tmp_path: Path) -> None:
    save_tuned(*tuned(model_folder, "lora"), tmp_path)
    layers = {name.split(".lora_")[0].removeprefix(PREFIX) for name in weights(tmp_path)}
    tower = "model.vision_embed_tokens.img_processor.vision_model.encoder.layers."
    assert {name[len(tower)] for name in layers if name.startswith(tower)} == {"0", "1"}  # of three blocks
    assert {"lm_head", "model.layers.1.mlp.gate_up_proj", "model.vision_embed_tokens.img_projection.2"} <= layers


def test_partitioned_adapters_are_never_written_for_whole_ones(model_folder: Path, tmp_path: Path) -> None:
    adapter, module = tuned(model_folder, "llm only")
    parts = [(name, torch.zeros(0)) for name, _ in module.named_parameters() if ".lora_" in name]
    with pytest.raises(AssertionError, match=r"has shape \(0,\), expected \(4, \d+\): a partitioned tensor must be"):
        save_lora(adapter, module.peft_config["default"], parts, tmp_path, dtype=torch.float32)
    assert list(tmp_path.iterdir()) == []
