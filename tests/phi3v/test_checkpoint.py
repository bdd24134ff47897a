"""Folders: the published keys in, the same keys out, and a clear word about what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor

from phidata.errors import DataError, UsageError
from phitrain.create import create_model_folder, model_config
from phitrain.models.phi3v import Phi3VConfig, Phi3VForCausalLM, Phi3VProcessor

from .golden import read

CLIP = "model.vision_embed_tokens.img_processor.vision_model."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    create_model_folder(folder, "tiny")
    return folder


@pytest.mark.parametrize("model", ["phi3_vision", "phi35_vision"])
def test_the_full_size_has_every_published_key_and_shape(model: str) -> None:
    config = Phi3VConfig.from_dict(read(f"hub_configs/{model}/config.json"))
    with torch.device("meta"):
        module = Phi3VForCausalLM(config)
    shapes = {name: list(value.shape) for name, value in module.state_dict().items()}
    assert shapes == read("hub_configs/checkpoint_shapes.json")
    assert len(shapes) == 592
    assert sum(parameter.numel() for parameter in module.parameters()) == 4_146_621_440


def test_the_shipped_full_configuration_is_the_published_one() -> None:
    assert (
        model_config("full").to_dict() == Phi3VConfig.from_dict(read("hub_configs/phi35_vision/config.json")).to_dict()
    )


@pytest.mark.parametrize("model", ["phi3_vision", "phi35_vision"])
def test_a_written_configuration_says_what_the_published_one_says(model: str, tmp_path: Path) -> None:
    """The original code reads `config.json` by these keys and refuses a rope_scaling of other than three."""
    published = read(f"hub_configs/{model}/config.json")
    Phi3VConfig.from_dict(published).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    changed = {"auto_map", "_name_or_path", "_attn_implementation", "transformers_version", "architectures"}
    defaults = {"num_key_value_heads", "attention_dropout", "resid_pdrop", "embd_pdrop", "pad_token_id", "use_cache"}
    for name in set(published) - changed:
        assert written.get(name, Phi3VConfig().to_dict()[name] if name in defaults else None) == published[name], name
    assert set(written) <= set(published) | defaults | changed | {"initializer_range"}
    repository = (
        "microsoft/Phi-3-vision-128k-instruct" if model == "phi3_vision" else "microsoft/Phi-3.5-vision-instruct"
    )
    assert written["auto_map"] == {
        "AutoConfig": f"{repository}--configuration_phi3_v.Phi3VConfig",
        "AutoModelForCausalLM": f"{repository}--modeling_phi3_v.Phi3VForCausalLM",
    }
    again = Phi3VConfig.from_pretrained(tmp_path)
    assert again.to_dict()["rope_scaling"] == published["rope_scaling"]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "longrope"},
        {"rope_type": "su"},
        {"rope_type": "longrope", "rope_theta": 10000.0},
        {"type": "su", "original_max_position_embeddings": 4096, "factor": 32},
    ],
)
def test_every_spelling_of_the_rope_is_read_and_written_as_published(change: dict[str, Any]) -> None:
    published = read("hub_configs/phi35_vision/config.json")
    spelled = {key: value for key, value in published["rope_scaling"].items() if key != "type"} | change
    assert Phi3VConfig.from_dict(published | {"rope_scaling": spelled}).to_dict()["rope_scaling"] == {
        **published["rope_scaling"],
        "type": "su",
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "must be 'su', 'longrope' or 'yarn'"),
        ({"rope_scaling": {"type": "su", "short_factor": [1.0], "long_factor": [1.0]}}, "must list 48 numbers"),
        ({"vision_config": {"hidden": 3}}, r"unknown keys \['hidden'\]"),
        ({"embd_layer": {"hd_transform_order": "glb_sub"}}, "only 'sub_glb' is supported"),
        ({"tie_word_embeddings": True}, "must be false"),
    ],
)
def test_a_configuration_that_is_not_supported_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):  # the library wraps the ValueError in its own class
        Phi3VConfig(**values)


def test_saving_writes_exactly_what_was_loaded(tiny: Path, tmp_path: Path) -> None:
    Phi3VForCausalLM.from_pretrained(tiny, dtype=torch.float32).save_pretrained(tmp_path)
    before, after = load_file(tiny / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert CLIP + "encoder.layers.2.self_attn.q_proj.weight" in after  # the block that never runs
    assert CLIP + "post_layernorm.weight" in after


def test_shards_hold_every_key_once(tiny: Path, tmp_path: Path) -> None:
    whole = load_file(tiny / "model.safetensors")
    Phi3VForCausalLM.from_pretrained(tiny, dtype=torch.float32).save_pretrained(tmp_path, max_shard_size="9MB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    keys = []
    for shard in shards:
        with safe_open(shard, "pt") as file:
            keys += list(file.keys())
    assert sorted(keys) == sorted(whole)
    again = Phi3VForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).state_dict()
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_the_original_codes_extra_tensors_are_accepted(tiny: Path, tmp_path: Path) -> None:
    def with_extras(weights: dict[str, torch.Tensor]) -> None:
        weights["model.vision_embed_tokens.wte.weight"] = weights["model.embed_tokens.weight"].clone()
        weights[CLIP + "embeddings.position_ids"] = torch.arange(577)[None]

    loaded = Phi3VForCausalLM.from_pretrained(copy(tiny, tmp_path / "model", with_extras)).state_dict()
    assert loaded.keys() == load_file(tiny / "model.safetensors").keys()


def test_a_missing_key_is_named(tiny: Path, tmp_path: Path) -> None:
    cut = copy(tiny, tmp_path / "model", lambda weights: weights.pop("model.vision_embed_tokens.glb_GN"))
    with pytest.raises(UsageError, match=r"lacks 1 tensors: model\.vision_embed_tokens\.glb_GN"):
        Phi3VForCausalLM.from_pretrained(cut)


def test_a_missing_key_of_the_tower_is_named(tiny: Path, tmp_path: Path) -> None:
    cut = copy(tiny, tmp_path / "model", lambda weights: weights.pop(CLIP + "encoder.layers.0.mlp.fc1.bias"))
    with pytest.raises(UsageError, match=r"lacks 1 tensors: .*encoder\.layers\.0\.mlp\.fc1\.bias"):
        Phi3VForCausalLM.from_pretrained(cut)


def test_an_unknown_key_is_named(tiny: Path, tmp_path: Path) -> None:
    more = copy(tiny, tmp_path / "model", lambda weights: weights.update({"model.lora_A": torch.zeros(1)}))
    with pytest.raises(UsageError, match=r"has, and the model does not know, 1 tensors: model\.lora_A"):
        Phi3VForCausalLM.from_pretrained(more)


def test_a_folder_without_weights_is_refused(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    with pytest.raises(UsageError, match="has no weights"):
        Phi3VForCausalLM.from_pretrained(tmp_path)


def test_damaged_weights_are_named(tiny: Path, tmp_path: Path) -> None:
    cut = copy(tiny, tmp_path / "model", lambda _weights: None)
    with (cut / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)
    with pytest.raises(DataError, match=r"model/model\.safetensors is damaged or cut off"):
        Phi3VForCausalLM.from_pretrained(cut)


def copy(folder: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    target.mkdir()
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    return target


def test_the_librarys_auto_classes_open_a_folder(tiny: Path) -> None:
    assert isinstance(AutoConfig.from_pretrained(tiny), Phi3VConfig)
    assert isinstance(AutoModelForCausalLM.from_pretrained(tiny), Phi3VForCausalLM)
    assert isinstance(AutoProcessor.from_pretrained(tiny), Phi3VProcessor)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_come_in_the_type_that_is_asked_for(tiny: Path, dtype: torch.dtype) -> None:
    module = Phi3VForCausalLM.from_pretrained(tiny, dtype=dtype)
    assert {parameter.dtype for parameter in module.parameters()} == {dtype}


def test_a_made_folder_is_complete_and_depends_on_its_seed_alone(tiny: Path, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    create_model_folder(tmp_path / "same", "tiny", seed=0, num_crops=1)
    assert torch.equal(torch.get_rng_state(), state)
    create_model_folder(tmp_path / "other", "tiny", seed=1)
    one, same, other = (
        load_file(folder / "model.safetensors")["lm_head.weight"]
        for folder in (tiny, tmp_path / "same", tmp_path / "other")
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert {path.name for path in tmp_path.iterdir()} == {"same", "other"}
    assert [Phi3VProcessor.from_pretrained(folder).num_crops for folder in (tiny, tmp_path / "same")] == [4, 1]
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        create_model_folder(tiny, "tiny")


def test_random_weights_follow_the_published_initialisation(tiny: Path) -> None:
    weights, spread = load_file(tiny / "model.safetensors"), model_config("tiny").initializer_range
    for name in (
        "lm_head.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.vision_embed_tokens.img_projection.0.weight",
    ):
        assert float(weights[name].std()) == pytest.approx(spread, rel=0.05)
    assert not weights["model.vision_embed_tokens.sub_GN"].any()
    assert not weights["model.vision_embed_tokens.img_projection.0.bias"].any()
    assert weights["model.norm.weight"].eq(1).all()
    assert float(weights[CLIP + "embeddings.patch_embedding.weight"].std()) > 0
