"""Those who open what a run hands back: the published code and vLLM. Neither runs here, so what they look for is held
against what is written: names, shapes, types and configuration keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import golden_root
from peft import inject_adapter_in_model
from torch import nn

from phitrain.config import StrategyPart
from phitrain.export import model_shapes, save_weights
from phitrain.lora import lora_shapes
from phitrain.models.adapter import Adapter, open_adapter
from phitrain.models.phi3v.processing import write_processor_files, write_tokenizer_files
from phitrain.shards import SHARD_BYTES, Stored, entries_of, plan_shards, weight_files
from phitrain.strategy import lora_config

MODELS = ("phi3_vision", "phi35_vision")
TOWER = "model.vision_embed_tokens.img_processor.vision_model."


def published(name: str) -> Any:
    return json.loads((golden_root() / "hub_configs" / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
    """The 592 tensors of both published models."""
    return {name: tuple(shape) for name, shape in published("checkpoint_shapes.json").items()}


def folder_without_weights(folder: Path, config: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer_files(folder, None)
    write_processor_files(folder, 4)
    return folder


@pytest.fixture(scope="module", params=MODELS)
def full_size(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Adapter, str]:
    folder = tmp_path_factory.mktemp("full") / request.param
    adapter = open_adapter(str(folder_without_weights(folder, published(f"{request.param}/config.json"))))
    return adapter, request.param


def test_the_full_size_has_the_published_tensors_in_two_shards(
    full_size: tuple[Adapter, str], shapes: dict[str, tuple[int, ...]]
) -> None:
    found = model_shapes(full_size[0])
    assert found == shapes
    assert len(found) == 592
    plan = plan_shards(entries_of(found, torch.bfloat16), SHARD_BYTES)
    assert len(plan) == 2
    assert sum(entry.num_bytes for shard in plan for entry in shard) == 8_293_242_880


def test_config_json_has_the_published_keys_and_values(full_size: tuple[Adapter, str], tmp_path: Path) -> None:
    adapter, model = full_size
    expected = published(f"{model}/config.json")
    adapter.save_config(tmp_path, torch.bfloat16)
    written = json.loads((tmp_path / "config.json").read_text("utf-8"))
    # The code is named by repository, since its files are not copied; which attention runs is chosen at load; the two
    # last describe where the file was written.
    explained = {"auto_map", "_attn_implementation", "_name_or_path", "transformers_version"}
    same = expected.keys() - explained
    assert {name: written.get(name) for name in same} == {name: expected[name] for name in same}
    # Phi-3-vision leaves out what the original class has by default.
    defaults = {"embd_pdrop": 0.0, "resid_pdrop": 0.0, "pad_token_id": 32000}
    for name in written.keys() - expected.keys():
        assert written[name] == defaults[name]
    repository = {"phi3_vision": "Phi-3-vision-128k-instruct", "phi35_vision": "Phi-3.5-vision-instruct"}[model]
    assert written["auto_map"] == {
        key: f"microsoft/{repository}--{place}" for key, place in expected["auto_map"].items()
    }
    assert written["torch_dtype"] == "bfloat16"


def test_generation_stops_at_the_ends_of_turn_and_text(full_size: tuple[Adapter, str], tmp_path: Path) -> None:
    full_size[0].save_config(tmp_path, torch.bfloat16)
    written = json.loads((tmp_path / "generation_config.json").read_text("utf-8"))
    assert (written["bos_token_id"], written["eos_token_id"], written["pad_token_id"]) == (1, [32000, 32007, 2], 32000)


def test_all_592_names_are_written_the_layers_that_never_run_among_them(
    shapes: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    """As many layers as the published models have, a few values each."""
    config = published("phi35_vision/config.json") | {"hidden_size": 16, "intermediate_size": 8, "vocab_size": 32064}
    config |= {"num_attention_heads": 2, "num_key_value_heads": 2, "rope_scaling": None}
    config |= {"vision_config": {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}}
    config["img_processor"] = {**config["img_processor"], "image_dim_out": 8}
    adapter = open_adapter(str(folder_without_weights(tmp_path / "base", config)))
    weights = ((name, torch.ones(shape)) for name, shape in model_shapes(adapter).items())
    save_weights(adapter, weights, tmp_path / "out", dtype=torch.bfloat16)
    entries = Stored(weight_files(tmp_path / "out")).entries
    assert entries.keys() == shapes.keys()
    assert {entry.dtype for entry in entries.values()} == {torch.bfloat16}
    assert {TOWER + "encoder.layers.23.mlp.fc1.weight", TOWER + "post_layernorm.bias"} <= entries.keys()
    assert [len(entries[name].shape) for name in shapes] == [len(shape) for shape in shapes.values()]


def original_tree(shapes: dict[str, tuple[int, ...]]) -> nn.Module:
    """The module tree of the published code, as far as its tensors' names tell: all 24 blocks of the tower."""
    tree = nn.Module()
    for name, shape in shapes.items():
        *path, layer = name.removesuffix(".weight").split(".")
        module = tree
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        if len(shape) == 2 and "embed" not in layer:
            module.add_module(layer, nn.Linear(shape[1], shape[0], bias=False, device="meta"))
    return tree


@pytest.mark.parametrize("full_size", MODELS[:1], indirect=True)
@pytest.mark.parametrize("strategy", [StrategyPart(kind="lora"), StrategyPart(kind="lora", freeze_vision=True)])
def test_adapters_fit_the_module_tree_of_the_published_code(
    strategy: StrategyPart, full_size: tuple[Adapter, str], shapes: dict[str, tuple[int, ...]]
) -> None:
    adapter = full_size[0]
    config = lora_config(strategy, adapter)
    written = lora_shapes(adapter, config)
    loaded = inject_adapter_in_model(config, original_tree(shapes), low_cpu_mem_usage=True).state_dict()
    wanted = {
        "base_model.model." + name.replace(".default", ""): tuple(value.shape)
        for name, value in loaded.items()
        if ".lora_" in name
    }
    assert written == wanted
    layers = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in written}
    assert len(layers) == 32 * 4 + 1 + (0 if strategy.freeze_vision else 23 * 6 + 2)
    assert not any(".encoder.layers.23." in name for name in layers)


# vLLM's loader for this architecture: vllm/model_executor/models/phi3v.py of vllm-project/vllm at 3bc38489544b
# (Phi3VForCausalLM.hf_to_vllm_mapper), with the language model of llama.py and the tower of clip.py beside it.
VLLM_PREFIXES = {
    "model.vision_embed_tokens.wte": "embed_tokens",
    "model.vision_embed_tokens.": "vision_embed_tokens.",
    "lm_head.": "language_model.lm_head.",
    "model.": "language_model.model.",
}
VLLM_STACKED = {  # of the checkpoint's parts into one parameter; what comes as one is loaded as one
    "language_model.": (
        *((".qkv_proj", ".q_proj"), (".qkv_proj", ".k_proj"), (".qkv_proj", ".v_proj")),
        *((".gate_up_proj", ".gate_proj"), (".gate_up_proj", ".up_proj")),
    ),
    "vision_embed_tokens.img_processor.": (("qkv_proj", "q_proj"), ("qkv_proj", "k_proj"), ("qkv_proj", "v_proj")),
}
VLLM_TOWER = "vision_embed_tokens.img_processor.vision_model."
VLLM_BLOCKS = 24 - 2 + 1  # of the tower, up to layer_idx -2; what lies beyond is skipped, as is post_layernorm


def vllm_parameters() -> set[str]:
    """The parameters that vLLM's module has: what its loader looks a mapped name up in."""
    names = {"embed_tokens.weight", "norm.weight"}
    for index in range(32):
        own = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
        norms = ("input_layernorm", "post_attention_layernorm")
        names |= {f"layers.{index}.{name}.weight" for name in own + norms}
    found = {f"language_model.model.{name}" for name in names} | {"language_model.lm_head.weight"}
    tower = {"embeddings.class_embedding", "embeddings.patch_embedding.weight", "embeddings.position_embedding.weight"}
    tower |= {f"pre_layrnorm.{leaf}" for leaf in ("weight", "bias")}
    parts = ("self_attn.qkv_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2", "layer_norm1", "layer_norm2")
    for index in range(VLLM_BLOCKS):
        tower |= {f"encoder.layers.{index}.{part}.{leaf}" for part in parts for leaf in ("weight", "bias")}
    found |= {VLLM_TOWER + name for name in tower}
    projection = {f"img_projection.{at}.{leaf}" for at in (0, 2) for leaf in ("weight", "bias")}
    return found | {f"vision_embed_tokens.{name}" for name in ("glb_GN", "sub_GN", *projection)}


def vllm_name(name: str) -> str | None:
    """The parameter that vLLM loads a tensor into; None for what it skips."""
    for prefix, replacement in VLLM_PREFIXES.items():
        if name.startswith(prefix):
            name = name.replace(prefix, replacement, 1)
    if name.startswith(VLLM_TOWER + "post_layernorm."):
        return None
    if name.startswith(VLLM_TOWER + "encoder.layers.") and int(name.split(".")[5]) >= VLLM_BLOCKS:
        return None
    for part, stacked in VLLM_STACKED.items():
        for parameter, shard in stacked:
            if name.startswith(part) and shard in name:
                return name.replace(shard, parameter)
    return name


def test_vllm_finds_a_place_for_every_tensor_and_a_tensor_for_every_place(full_size: tuple[Adapter, str]) -> None:
    mapped = {name: vllm_name(name) for name in model_shapes(full_size[0])}
    assert {place for place in mapped.values() if place is not None} == vllm_parameters()
    skipped = {name for name, place in mapped.items() if place is None}
    never_run = {TOWER + f"post_layernorm.{leaf}" for leaf in ("weight", "bias")}
    assert skipped - never_run == {name for name in mapped if name.startswith(TOWER + "encoder.layers.23.")}
    stacked = [place for place in mapped.values() if place is not None and "img_processor" in place and "qkv" in place]
    assert len(stacked) == VLLM_BLOCKS * 3 * 2  # weight and bias of queries, keys and values
