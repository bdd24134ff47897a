"""Models as they are loaded for training: the library's values, tensor by tensor, whole or in 4 bits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BitsAndBytesConfig

from phidata.errors import DataError, UsageError
from phitrain.create import create_model_folder
from phitrain.models.adapter import Loading, open_adapter
from phitrain.models.phi3v import Phi3VForCausalLM
from phitrain.models.phi3v.loading import build_empty

from .golden import read

CLIP = "model.vision_embed_tokens.img_processor.vision_model."
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
IDS = torch.tensor([[1, 32010, 450, 3007, 32007, 32001]])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    create_model_folder(folder, "tiny")
    return folder


def load(folder: Path, dtype: torch.dtype = torch.float32, *, four_bit: bool = False) -> nn.Module:
    device = torch.device("cpu")
    return open_adapter(str(folder)).load(
        Loading(dtype=dtype, attention="sdpa", device=device, four_bit=four_bit, checkpointing="llm")
    )


def bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor: values packed as bfloat16 may look like numbers that equal nothing."""
    return tensor.detach().contiguous().view(-1).view(torch.uint8)


def assert_same(module: nn.Module, expected: nn.Module) -> None:
    ours = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    theirs = {**dict(expected.named_parameters()), **dict(expected.named_buffers())}
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (value.dtype, value.shape), name
        assert torch.equal(bits(ours[name]), bits(value)), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_model_is_the_one_that_the_library_loads(tiny: Path, dtype: torch.dtype) -> None:
    module = load(tiny, dtype)
    expected = Phi3VForCausalLM.from_pretrained(tiny, dtype=dtype, attn_implementation="sdpa")
    assert_same(module, expected)
    assert module.config.to_dict() == expected.config.to_dict()
    assert module.generation_config.to_dict() == expected.generation_config.to_dict()
    assert not module.training
    assert torch.equal(module(input_ids=IDS).logits, expected(input_ids=IDS).logits)


def test_what_never_runs_needs_no_gradient_and_checkpointing_is_set(tiny: Path) -> None:
    module = load(tiny)
    assert isinstance(module, Phi3VForCausalLM)
    still = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    assert still == set(module.unused_parameter_names())
    assert [layer.gradient_checkpointing for layer in module.model.layers] == [True, True]


def test_loading_draws_no_random_numbers(tiny: Path) -> None:
    before = torch.get_rng_state()
    load(tiny)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_is_known_by_its_whole_path(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parent)
    module = load(Path("./tiny"))
    assert (module.name_or_path, module.config._name_or_path) == (str(tiny), str(tiny))


def test_shards_are_read_as_one_file_is(tiny: Path, tmp_path: Path) -> None:
    whole = Phi3VForCausalLM.from_pretrained(tiny, dtype=torch.float32, attn_implementation="sdpa")
    folder = copy(tiny, tmp_path / "model", lambda _: None)
    (folder / "model.safetensors").unlink()
    whole.save_pretrained(folder, max_shard_size="9MB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert_same(load(folder), whole)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UsageError, match=r"lacks model-00002-of-00002\.safetensors, which .*index\.json names"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop(CLIP + "post_layernorm.bias"), r"lacks 1 tensors: .*\.post_layernorm\.bias;"),
        (
            lambda weights: weights.update({"model.lora_A": torch.zeros(1)}),
            r"has, and the model does not know, 1 tensors: model\.lora_A;",
        ),
        (
            lambda weights: weights.update({"model.norm.weight": torch.zeros(3)}),
            r"has in another shape 1 tensors: model\.norm\.weight;",
        ),
    ],
)
@pytest.mark.parametrize("four_bit", [False, True])
def test_a_checkpoint_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Tensor]], object], message: str, tiny: Path, tmp_path: Path, *, four_bit: bool
) -> None:
    folder = copy(tiny, tmp_path / "model", change)
    with pytest.raises(UsageError, match=message):
        load(folder, four_bit=four_bit)


def test_the_original_codes_extra_tensors_are_left_alone(tiny: Path, tmp_path: Path) -> None:
    def with_extras(weights: dict[str, Tensor]) -> None:
        weights["model.vision_embed_tokens.wte.weight"] = weights["model.embed_tokens.weight"].clone()
        weights[CLIP + "embeddings.position_ids"] = torch.arange(577)[None]

    assert_same(load(copy(tiny, tmp_path / "model", with_extras)), load(tiny))


def test_damaged_files_are_named(tiny: Path, tmp_path: Path) -> None:
    folder = copy(tiny, tmp_path / "model", lambda _: None)
    os.truncate(folder / "model.safetensors", 100_000)
    with pytest.raises(DataError, match=r"model/model\.safetensors is damaged or cut off"):
        load(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(DataError, match=r"model\.safetensors\.index\.json is not an index of weights"):
        load(folder)


def copy(folder: Path, target: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    target.mkdir()
    for file in folder.iterdir():
        if file.suffix == ".json":
            (target / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("dtype", DTYPES)
def test_four_bits_are_those_of_the_library(tiny: Path, dtype: torch.dtype) -> None:
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_storage=dtype,
    )
    module = load(tiny, dtype, four_bit=True)
    expected = Phi3VForCausalLM.from_pretrained(tiny, dtype=dtype, quantization_config=settings)
    assert_same(module, expected)
    states, theirs = module.state_dict(), expected.state_dict()  # with what unpacks a weight
    assert states.keys() == theirs.keys()
    assert all(torch.equal(bits(states[name]), bits(theirs[name])) for name in theirs)
    assert module.is_loaded_in_4bit
    assert {parameter.dtype for parameter in module.parameters()} == {dtype}


@pytest.mark.parametrize("model", ["phi3_vision", "phi35_vision"])
def test_in_full_size_every_linear_layer_but_the_last_is_in_four_bits(model: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(read(f"hub_configs/{model}/config.json")))
    loading = Loading(dtype=torch.bfloat16, attention="sdpa", device=torch.device("cpu"), four_bit=True)
    module = build_empty(tmp_path, loading)
    kinds = {name: type(layer) for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    assert [name for name, kind in kinds.items() if kind is not Linear4bit] == ["lm_head"]
    # 4 in each of 32 decoder blocks, 6 in each of 24 CLIP blocks, 2 in the projector, and lm_head
    assert len(kinds) == 4 * 32 + 6 * 24 + 2 + 1


def test_a_model_in_four_bits_trains_after_it_was_evaluated(tiny: Path) -> None:
    """Some CPUs' fast path repacks weights for good when a model first runs without gradients, and loses gradients."""
    fresh, evaluated = (load(tiny, torch.bfloat16, four_bit=True) for _ in range(2))
    with torch.no_grad():
        before = evaluated(input_ids=IDS).logits
    assert torch.equal(embedding_gradient(evaluated), embedding_gradient(fresh))
    assert torch.equal(evaluated(input_ids=IDS).logits, before)


def embedding_gradient(module: nn.Module) -> Tensor:
    module(input_ids=IDS, labels=IDS).loss.backward()
    gradient = module.get_parameter("model.embed_tokens.weight").grad
    assert gradient is not None
    return gradient
