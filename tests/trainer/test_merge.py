"""`phitrain merge`: the merged model answers as the model with its adapters did."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from phidata.errors import DataError, UsageError
from phitrain.merge import Merged, merge
from phitrain.models.adapter import open_adapter
from phitrain.quantisation import nf4_and_back, quantisation_by_rule, quantisation_of
from phitrain.shards import Stored, weight_files

from .tuned import PEFT_WARNS, furthest, loaded, logits, save_tuned, tuned

pytestmark = PEFT_WARNS
Tuned = tuple[Any, Path]


@pytest.fixture(scope="module", params=["lora", "dora", "rslora", "qlora", "llm only"])
def each_kind(request: pytest.FixtureRequest, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A peft model in fp32 and the folder that it was saved to."""
    adapter, module = tuned(model_folder, request.param)
    folder = tmp_path_factory.mktemp("tuned")
    save_tuned(adapter, module, folder)
    return module, folder


@pytest.fixture(scope="module")
def lora_folder(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    save_tuned(*tuned(model_folder, "lora"), folder)
    return folder


def test_a_merged_model_answers_as_the_one_with_adapters(each_kind: Tuned, model_folder: Path, tmp_path: Path) -> None:
    module, folder = each_kind
    done = merge(str(model_folder), folder, tmp_path / "out")
    assert (done.dtype, done.notes) == ("float32", ())
    assert done.four_bit == (folder / "base_quantisation.json").is_file()
    merged = logits(loaded(open_adapter(str(tmp_path / "out"))))
    assert furthest(merged, logits(module)) < 1e-5
    assert furthest(merged, logits(loaded(open_adapter(str(model_folder))))) > 0.5


@pytest.mark.parametrize("each_kind", ["lora", "dora", "rslora"], indirect=True)
def test_a_merge_is_the_one_that_peft_makes(each_kind: Tuned, model_folder: Path, tmp_path: Path) -> None:
    _, folder = each_kind
    merge(str(model_folder), folder, tmp_path / "out")
    ours = load_file(tmp_path / "out" / "model.safetensors")
    by_peft = loaded(open_adapter(str(folder))).merge_and_unload().state_dict()
    assert ours.keys() == by_peft.keys()
    assert max(furthest(ours[name], by_peft[name]) for name in ours) < 1e-6


@pytest.mark.parametrize("kind", ["lora", "dora", "qlora"])
def test_a_merge_in_bf16_differs_by_rounding_alone(kind: str, model_folder: Path, tmp_path: Path) -> None:
    adapter, module = tuned(model_folder, kind, torch.bfloat16)
    save_tuned(adapter, module, tmp_path / "adapters")
    done = merge(str(model_folder), tmp_path / "adapters", tmp_path / "out", dtype=torch.bfloat16)
    assert done.dtype == "bfloat16"
    merged, expected = logits(loaded(open_adapter(str(tmp_path / "out")), torch.bfloat16)), logits(module)
    assert float((merged - expected).norm() / expected.norm()) < 0.03


def test_the_base_goes_through_four_bits_only_where_the_adapters_were_trained_so(
    model_folder: Path, lora_folder: Path, tmp_path: Path
) -> None:
    name = "model.vision_embed_tokens.img_processor.vision_model.encoder.layers.2.mlp.fc1.weight"  # without an adapter
    base = load_file(model_folder / "model.safetensors")[name]
    for four_bit, expected in ((None, base), (False, base), (True, nf4_and_back(base))):
        done = merge(str(model_folder), lora_folder, tmp_path / str(four_bit), four_bit=four_bit)
        assert done.four_bit == (four_bit is True)
        assert torch.equal(load_file(tmp_path / str(four_bit) / "model.safetensors")[name], expected)
    assert not torch.equal(base, nf4_and_back(base))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_layers_in_four_bits_are_known_without_loading(model_folder: Path, dtype: torch.dtype) -> None:
    adapter = open_adapter(str(model_folder))
    found = quantisation_of(loaded(adapter, dtype, four_bit=True))
    assert found is not None
    assert found == quantisation_by_rule(adapter, dtype)
    assert "lm_head" not in found.modules
    assert "model.layers.1.mlp.down_proj" in found.modules
    assert found.dtype == str(dtype).removeprefix("torch.")


def test_an_adapter_folder_that_peft_wrote_is_merged(model_folder: Path, tmp_path: Path) -> None:
    """Its file has the base's lm_head too, which must not count as an adapter."""
    _, module = tuned(model_folder, "lora")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft says that it adds lm_head
        module.save_pretrained(tmp_path / "adapters")
    assert "base_model.model.lm_head.base_layer.weight" in load_file(tmp_path / "adapters/adapter_model.safetensors")
    merge(str(model_folder), tmp_path / "adapters", tmp_path / "out")
    assert furthest(logits(loaded(open_adapter(str(tmp_path / "out")))), logits(module)) < 1e-5


def test_a_merged_model_is_written_in_the_type_and_shards_that_are_asked_for(
    model_folder: Path, lora_folder: Path, tmp_path: Path
) -> None:
    merge(str(model_folder), lora_folder, tmp_path / "out", dtype=torch.float16, max_shard_bytes=2_500_000)
    files = weight_files(tmp_path / "out")
    assert [file.name for file in files] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert {entry.dtype for entry in Stored(files).entries.values()} == {torch.float16}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == "float16"
    assert not list(tmp_path.glob(".*"))


def test_a_note_says_when_the_base_is_another_than_the_adapters_name(
    model_folder: Path, lora_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(model_folder, tmp_path / "copy")
    done = merge(str(tmp_path / "copy"), lora_folder, tmp_path / "out")
    assert done == Merged(
        num_layers=23, dtype="float32", four_bit=False, notes=(f"the adapters were trained on {model_folder}",)
    )


def changed(folder: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of an adapter folder with another adapter_config.json."""
    shutil.copytree(folder, target)
    config = json.loads((target / "adapter_config.json").read_text())
    change(config)
    (target / "adapter_config.json").write_text(json.dumps(config))
    return target


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"peft_type": "IA3"}, "has peft_type 'IA3'; only 'LORA' is merged here"),
        ({"bias": "all"}, "has bias = 'all', which is not merged here"),
        ({"modules_to_save": ["lm_head"]}, "has modules_to_save = .*; use peft's merge_and_unload"),
    ],
)
def test_adapters_of_another_kind_are_refused(
    values: dict[str, Any], message: str, model_folder: Path, lora_folder: Path, tmp_path: Path
) -> None:
    other = changed(lora_folder, tmp_path / "other", lambda config: config.update(values))
    with pytest.raises(UsageError, match=message):
        merge(str(model_folder), other, tmp_path / "out")


def test_adapters_of_another_model_are_refused_by_layer(model_folder: Path, lora_folder: Path, tmp_path: Path) -> None:
    other = changed(lora_folder, tmp_path / "other", lambda _config: None)
    weights = load_file(other / "adapter_model.safetensors")
    name = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"
    save_file({**weights, name: torch.zeros(4, 50)}, other / "adapter_model.safetensors")
    with pytest.raises(UsageError, match=r"layers\.0\.mlp\.down_proj of 32 x 50, .* has 32 x 48 there; give the model"):
        merge(str(model_folder), other, tmp_path / "out")


def test_half_an_adapter_is_refused_by_layer(model_folder: Path, lora_folder: Path, tmp_path: Path) -> None:
    other = changed(lora_folder, tmp_path / "other", lambda _config: None)
    weights = load_file(other / "adapter_model.safetensors")
    del weights["base_model.model.lm_head.lora_B.weight"]
    save_file(weights, other / "adapter_model.safetensors")
    with pytest.raises(DataError, match="the adapter of lm_head is not whole; copy the folder there again"):
        merge(str(model_folder), other, tmp_path / "out")


def test_dora_without_its_magnitudes_is_not_whole(model_folder: Path, lora_folder: Path, tmp_path: Path) -> None:
    other = changed(lora_folder, tmp_path / "other", lambda config: config.update(use_dora=True))
    with pytest.raises(DataError, match="is not whole"):
        merge(str(model_folder), other, tmp_path / "out")


def test_what_is_no_adapter_folder_is_refused(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not an adapter folder: it has no adapter_config\.json"):
        merge(str(model_folder), model_folder, tmp_path / "out")


def test_nothing_is_written_over_another_folder(model_folder: Path, lora_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        merge(str(model_folder), lora_folder, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.txt"]
