"""What a run will take: steps, tokens, operations, and the memory of each device, computed before any weights are read.

Model state as in Rajbhandari et al. 2020 (ZeRO: Memory Optimizations Toward Training Trillion Parameter Models,
section 3): weights and gradients in the type of the run, and twelve bytes of fp32 master weight and two moments for
each trained number; stage 1 divides the latter over the ranks, stage 2 the gradients too, stage 3 the weights. In fp32
the master weights are a copy as well, except in stage 0. Activations are counted in `activations`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from phitrain.activations import activations
from phitrain.config import Config, StrategyPart
from phitrain.engine import BUCKET
from phitrain.flops import StepFlops, Work, step_flops
from phitrain.models.phi3v.layers import Layers, Linear

WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2}
MOMENTS_BYTES = 8  # two moments in fp32
MASTER_BYTES = 4
NF4_BYTES = 0.516  # four bits, an 8-bit scale for each 64 values, an fp32 scale for each 256 of those
SUPERVISED = 16  # tokens of an answer, where nothing is known of the data
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes at the peak of a step, for one rank: on its device, and of the host for what is offloaded."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    buffers: int
    host: int

    @property
    def device(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.buffers


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it is run. All of it is computed, none of it measured."""

    num_samples: int
    steps: int
    steps_of_epoch: int
    tokens_of_sample: int
    trained: int
    parameters: int
    flops_of_step: StepFlops
    memory: Memory
    checkpoint_bytes: int
    result_bytes: int

    def as_dict(self) -> dict[str, Any]:
        memory = {**asdict(self.memory), "device": self.memory.device}
        return {**asdict(self), "memory": memory}


def plan_run(
    config: Config, layers: Layers, world_size: int, lengths: Sequence[int], num_crops: Sequence[int], num_samples: int
) -> Plan:
    """The plan of a settled configuration: `resolve` has chosen precision and attention.

    `lengths` and `num_crops`: tokens and crops of some samples, of which the largest decide on memory and the average
    on operations. `num_samples`: of an epoch.
    """
    train, kind = config.train, config.strategy.kind
    width = WIDTHS[config.model.precision]
    steps_of_epoch = -(-num_samples // train.batch_size)
    tokens, crops = math.ceil(sum(lengths) / len(lengths)), math.ceil(sum(num_crops) / len(num_crops))
    steps = train.max_steps or train.num_train_epochs * steps_of_epoch
    trained = num_trained(layers, config.strategy)
    is_lora = kind in ("lora", "qlora")
    micro = _work(tokens, crops, train.batch_size_per_gpu)
    flops = step_flops(
        layers,
        config.strategy,
        micro,
        checkpointing=config.model.gradient_checkpointing,
        attention=config.model.attention,
    )
    num_micros = train.batch_size // train.batch_size_per_gpu
    return Plan(
        num_samples=num_samples,
        steps=steps,
        steps_of_epoch=steps_of_epoch,
        tokens_of_sample=tokens,
        trained=trained,
        parameters=layers.num_values + (trained if is_lora else 0),
        flops_of_step=StepFlops(model=flops.model * num_micros, hardware=flops.hardware * num_micros),
        memory=memory_of(config, layers, world_size, _work(max(lengths), max(num_crops), train.batch_size_per_gpu)),
        checkpoint_bytes=(MASTER_BYTES + MOMENTS_BYTES) * trained,
        result_bytes=width * (trained if is_lora else layers.num_values),
    )


def memory_of(config: Config, layers: Layers, world_size: int, work: Work) -> Memory:
    """Of one rank, for a micro-batch of this size."""
    train, width = config.train, WIDTHS[config.model.precision]
    trained = num_trained(layers, config.strategy)
    share = [1 if train.zero < stage else world_size for stage in (1, 2, 3)]  # of optimizer, gradients, weights
    weights = weight_bytes(layers, config.strategy, width)
    master = 0 if train.zero == 0 else MASTER_BYTES
    optimizer = (master + MOMENTS_BYTES) * trained // share[0]
    gradients = width * trained // share[1]
    buffers = 2 * BUCKET * width if world_size > 1 or train.zero else 0
    host = 0
    if train.offload != "none":
        # the gradients go to the host in fp32 as well
        host, optimizer = optimizer + MASTER_BYTES * trained // share[0], 0
    resident = weights // share[2]
    if train.zero == 3:
        buffers += 2 * layers.block.num_values * width  # of the layer that runs and the one that is fetched
    if train.offload == "parameters":
        host, resident = host + resident, 0
    kept = activations(
        layers,
        config.strategy,
        work,
        width=width,
        checkpointing=config.model.gradient_checkpointing,
        attention=config.model.attention,
    )
    return Memory(
        weights=resident,
        gradients=gradients,
        optimizer=optimizer,
        activations=kept.peak,
        buffers=buffers,
        host=host,
    )


def num_trained(layers: Layers, strategy: StrategyPart) -> int:
    """How many numbers have a gradient."""
    if strategy.kind == "full":
        return layers.num_values - layers.num_idle_values
    if strategy.kind == "frozen-vision":
        return layers.num_llm_values + (layers.num_projector_values if strategy.train_projector else 0)
    targets: list[tuple[Linear, int]] = [(linear, layers.num_blocks) for linear in layers.block.linears]
    targets.append((layers.head, 1))
    if not strategy.freeze_vision:
        targets += [(linear, layers.num_vision_blocks) for linear in layers.vision_block.linears]
        targets += [(linear, 1) for linear in layers.projector]
    return sum(_adapter(linear, strategy) * linear.count * times for linear, times in targets)


def weight_bytes(layers: Layers, strategy: StrategyPart, width: int) -> int:
    """Of the whole model as a run holds it: qlora packs the linear layers of all blocks and the projector."""
    adapters = num_trained(layers, strategy) * width if strategy.kind in ("lora", "qlora") else 0
    if strategy.kind != "qlora":
        return layers.num_values * width + adapters
    packed = layers.num_blocks * layers.block.num_weights + layers.num_vision_blocks * layers.vision_block.num_weights
    packed += sum(linear.num_weights for linear in layers.projector)
    return round(packed * NF4_BYTES) + (layers.num_values - packed) * width + adapters


def plan_lines(plan: Plan, config: Config, world_size: int) -> list[str]:
    """The plan for people."""
    memory = plan.memory
    all_tokens = plan.tokens_of_sample * config.train.batch_size * plan.steps
    again = _big(plan.flops_of_step.hardware)
    rows = {
        "samples of an epoch": f"{plan.num_samples:,}",
        "steps": f"{plan.steps:,} ({plan.steps_of_epoch:,} an epoch), {config.train.batch_size} samples each",
        "tokens": f"{plan.tokens_of_sample:,} a sample on average, {_big(all_tokens)}in all",
        "trained": f"{plan.trained:,} of {plan.parameters:,} numbers",
        "operations": f"{_big(plan.flops_of_step.model)}FLOP a step, {again}FLOP with what is computed again",
        "memory of a device": f"{_gib(memory.device)}, computed",
        "  weights": _gib(memory.weights),
        "  gradients": _gib(memory.gradients),
        "  optimizer": _gib(memory.optimizer),
        "  activations": f"{_gib(memory.activations)} for the largest samples that were looked at",
        "  buffers": _gib(memory.buffers),
        "memory of a host": f"{_gib(memory.host)} for each of its processes" if memory.host else "little",
        "disk": f"{_gib(plan.result_bytes)} for the result, {_gib(plan.checkpoint_bytes)} a checkpoint",
        "processes": str(world_size),
    }
    return [f"{name:<22}{words}" for name, words in rows.items()]


def _work(tokens: int, crops: int, num_samples: int) -> Work:
    return Work(
        lengths=(tokens,) * num_samples,
        num_crops=crops * num_samples,
        num_supervised=min(tokens, SUPERVISED) * num_samples,
        shape=(num_samples, tokens),
        num_crops_run=max(1, crops * num_samples),
    )


def _adapter(linear: Linear, strategy: StrategyPart) -> int:
    return strategy.lora_rank * (linear.inputs + linear.outputs) + (linear.outputs if strategy.dora else 0)


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.2f} GiB"


def _big(number: float) -> str:
    for unit, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:,.0f} "
