"""The counted operations are those that torch runs, for every strategy and kind of checkpointing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from phitrain.config import StrategyPart
from phitrain.create import model_config
from phitrain.flops import StepFlops, Work, step_flops, utilisation
from phitrain.models.adapter import Loading, LoraTargets, Phi3VAdapter, open_adapter
from phitrain.models.phi3v import Phi3VConfig, Phi3VForCausalLM
from phitrain.models.phi3v.layers import layers_of
from phitrain.peaks import peak_flops
from phitrain.strategy import prepare

# peft asks transformers by a name that the newest release calls old.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

STRATEGIES = {
    "full": StrategyPart(),
    "frozen": StrategyPart(kind="frozen-vision"),
    "projector": StrategyPart(kind="frozen-vision", train_projector=True),
    "lora": StrategyPart(kind="lora", lora_rank=3),
    "lora-llm": StrategyPart(kind="lora", lora_rank=3, freeze_vision=True),
    "dora": StrategyPart(kind="lora", lora_rank=3, dora=True),
    "dora-dropout": StrategyPart(kind="lora", lora_rank=3, dora=True, lora_dropout=0.1),
}
SUPERVISED = 4
PAGE = (313, 2)  # rows and crops of an image of one crop and the view of all of it
TEXT = 20


@dataclass(frozen=True)
class Rows:
    """One sample, right-padded by some tokens, with or without an image."""

    has_image: bool = True
    padding: int = 0

    @property
    def length(self) -> int:
        return TEXT + PAGE[0] * self.has_image

    @property
    def work(self) -> Work:
        return Work(
            lengths=(self.length,),
            num_crops=PAGE[1] * self.has_image,
            num_supervised=SUPERVISED,
            shape=(1, self.length + self.padding),
            num_crops_run=PAGE[1] if self.has_image else 1,
        )

    def inputs(self) -> tuple[dict[str, Tensor], Tensor]:
        image = [-1] * PAGE[0] if self.has_image else []
        ids = torch.tensor([[1, *image, *[5] * (TEXT - 1), *[0] * self.padding]])
        labels = torch.full_like(ids, -100)
        labels[0, self.length - SUPERVISED : self.length] = 7
        mask = (torch.arange(ids.shape[1]) < self.length).long()[None]
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self.has_image:
            inputs |= {"pixel_values": torch.zeros(PAGE[1], 3, 336, 336), "image_sizes": torch.tensor([[336, 336]])}
        return inputs, labels


class Named(Phi3VAdapter):
    """What `prepare` asks of an adapter, without a folder."""

    def __init__(self, config: Phi3VConfig) -> None:
        self.name_or_path = "here"
        self._unused_blocks = range(config.num_vision_blocks, config.clip_config().num_hidden_layers)


def small_config() -> Phi3VConfig:
    return Phi3VConfig(
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=50,
        pad_token_id=0,
        vision_config={"hidden_size": 16, "intermediate_size": 28, "num_hidden_layers": 3, "num_attention_heads": 2},
    )


def prepared(strategy: StrategyPart, checkpointing: str, attention: str) -> nn.Module:
    config = small_config()
    model: Phi3VForCausalLM = Phi3VForCausalLM._from_config(config, attn_implementation=attention)
    unused = set(model.unused_parameter_names())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in unused)
    model.enable_checkpointing(checkpointing)
    model.name_or_path = "here"
    return prepare(model, strategy, Named(config)).train()


def ran(model: nn.Module, rows: Rows) -> int:
    """Operations of forward and backward, as torch counts them."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        Named(small_config()).loss_sum(model, *rows.inputs()).backward()
    return int(counter.get_total_flops())


def attention_flops(query: Any, key: Any, *, products: int, causal: bool) -> int:
    samples, heads, length, size = query
    assert key[2] == length
    pairs = length * (length + 1) // 2 if causal else length**2
    return products * 2 * samples * heads * size * pairs


def forward_flops(query: Any, key: Any, _value: Any, _p: float = 0, causal: bool = False, **_: Any) -> int:
    return attention_flops(query, key, products=2, causal=causal)


def backward_flops(_g: Any, query: Any, key: Any, _v: Any, _o: Any, _l: Any, _p: float, causal: bool, **_: Any) -> int:
    return attention_flops(query, key, products=5, causal=causal)


def packed_flops(inputs: Any, _packed: Any, shape: Any, *_: Any, **__: Any) -> int:
    return 2 * math.prod(inputs) * int(shape[0])


# torch's counter does not know its own kernel for CPUs.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forward_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward_flops,
}


CASES = [
    (strategy, checkpointing)
    for strategy in STRATEGIES
    for checkpointing in ("off", "on", "vision", "llm")
    if checkpointing in ("off", "on") or strategy in ("full", "frozen", "lora", "lora-llm")
]


@pytest.mark.parametrize(("strategy", "checkpointing"), CASES)
def test_torch_runs_as_many_operations_as_are_counted(strategy: str, checkpointing: str) -> None:
    part, layers = STRATEGIES[strategy], layers_of(small_config())
    for attention, kinds in (("eager", (Rows(padding=7), Rows(has_image=False))), ("sdpa", (Rows(),))):
        model = prepared(part, checkpointing, attention)
        for rows in kinds:
            counted = step_flops(layers, part, rows.work, checkpointing=checkpointing, attention=attention)
            assert counted.hardware == ran(model, rows), (attention, rows)


@pytest.mark.parametrize("checkpointing", ["off", "on"])
def test_packed_weights_take_the_operations_of_whole_ones(model_folder: Path, checkpointing: str) -> None:
    import bitsandbytes  # noqa: F401 - registers its operations

    adapter, part = open_adapter(str(model_folder)), StrategyPart(kind="qlora", lora_rank=3)
    device = torch.device("cpu")
    loading = Loading(dtype=torch.float32, attention="eager", device=device, four_bit=True, checkpointing=checkpointing)
    model = prepare(adapter.load(loading), part, adapter).train()
    mapping = {torch.ops.bitsandbytes.gemm_4bit: packed_flops}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        adapter.loss_sum(model, *Rows(padding=7).inputs()).backward()
    counted = step_flops(adapter.layers, part, Rows(padding=7).work, checkpointing=checkpointing, attention="eager")
    assert counted.hardware == counter.get_total_flops()


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "projector"])
def test_without_checkpointing_and_padding_the_mathematics_lacks_the_masked_pairs_only(strategy: str) -> None:
    part, layers = STRATEGIES[strategy], layers_of(small_config())
    counted = step_flops(layers, part, Rows().work, attention="eager")
    length, masked = Rows().length, Rows().length * (Rows().length - 1) // 2
    assert Rows().work.lengths == (length,)
    assert counted.hardware - counted.model == 2 * 6 * 2 * 24 * masked  # blocks x products x 2 x hidden size


def test_frozen_parts_and_missing_images_need_nothing() -> None:
    layers = layers_of(small_config())
    text = [step_flops(layers, STRATEGIES[name], Rows(has_image=False).work).model for name in STRATEGIES]
    assert text[0] == text[1] == text[2]
    assert text[3] == text[4]
    assert step_flops(layers, STRATEGIES["full"], Rows(has_image=False).work).hardware > text[0]
    empty = Work(lengths=(), num_crops=0, num_supervised=0, shape=(1, 9), num_crops_run=1)
    assert step_flops(layers, STRATEGIES["full"], empty).model == 0


def test_full_training_of_a_long_text_is_six_operations_a_parameter_and_token() -> None:
    layers = layers_of(model_config("full"))
    tokens = 100
    work = Work(lengths=(tokens,), num_crops=0, num_supervised=tokens, shape=(1, tokens), num_crops_run=1)
    weights = 32 * (9216 * 3072 + 3072 * 3072 + 16384 * 3072 + 3072 * 8192) + 32064 * 3072
    attention = 32 * 6 * 2 * 3072 * (tokens * (tokens + 1) // 2)
    assert step_flops(layers, StrategyPart(), work).model == 6 * weights * tokens + attention


@pytest.mark.parametrize(
    ("strategy", "model", "hardware"),
    [
        (StrategyPart(), 74.5, 94.4),
        (StrategyPart(kind="frozen-vision"), 62.6, 78.1),
        (StrategyPart(kind="lora", lora_rank=64), 54.3, 80.8),
    ],
)
def test_a_page_of_the_published_size_takes_so_many_tera(strategy: StrategyPart, model: float, hardware: float) -> None:
    layers = layers_of(model_config("full"))
    work = Work(lengths=(2443,), num_crops=16, num_supervised=8, shape=(1, 2443), num_crops_run=16)
    found = step_flops(layers, strategy, work, checkpointing="on", attention="flash_attention_2")
    assert (round(found.model / 1e12, 1), round(found.hardware / 1e12, 1)) == (model, hardware)


def test_micro_batches_add_up() -> None:
    assert StepFlops(model=1, hardware=2) + StepFlops(model=10, hardware=20) == StepFlops(model=11, hardware=22)


def test_the_sizes_are_those_of_the_model() -> None:
    config = small_config()
    model = Phi3VForCausalLM(config)
    layers = layers_of(config)
    idle = set(model.unused_parameter_names())
    values = {"llm": 0, "projector": 0, "vision": 0, "idle": 0}
    for name, parameter in model.named_parameters():
        values["idle" if name in idle else Named(config).part_of(name)] += parameter.numel()
    assert values == {
        "llm": layers.num_llm_values,
        "projector": layers.num_projector_values,
        "vision": layers.num_vision_values,
        "idle": layers.num_idle_values,
    }
    assert layers_of(model_config("full")).num_values == 4_146_621_440


def test_lora_targets_are_those_that_are_counted() -> None:
    assert Named(small_config()).lora_targets == LoraTargets(
        llm=("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"),
        vision=("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "img_projection.0", "img_projection.2"),
        unused=r".*\.vision_model\.encoder\.layers\.(2)\..*",
    )


@pytest.mark.parametrize(
    ("device", "precision", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", "bf16", 312e12),
        ("NVIDIA A100 80GB PCIe", "tf32", 156e12),
        ("NVIDIA H100 80GB HBM3", "bf16", 989.4e12),
        ("NVIDIA H100 PCIe", "fp16", 756e12),
        ("NVIDIA H200", "fp32", 67e12),
        ("Tesla V100-SXM2-32GB", "fp16", 125e12),
        ("Tesla V100-SXM2-32GB", "bf16", None),
        ("NVIDIA RTX A6000", "bf16", 154.8e12),
        ("NVIDIA L40S", "bf16", 362e12),
        ("NVIDIA A10", "bf16", 125e12),
        ("NVIDIA A10G", "bf16", None),
        ("NVIDIA GeForce RTX 4090", "bf16", 165.2e12),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "bf16", None),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "bf16", None),
        ("Tesla T4", "fp16", 65e12),
        ("cpu", "fp32", None),
    ],
)
def test_a_peak_is_known_or_none(device: str, precision: str, peak: float | None) -> None:
    assert peak_flops(device, precision) == peak


def test_utilisation_is_a_share_or_none() -> None:
    assert utilisation(156e12, 2.0, 312e12) == 0.25
    assert utilisation(156e12, 2.0, None) is None
