"""Memory of a run for each rank: weights, gradients, optimizer, activations and buffers, on the device and the host.

Model state as in Rajbhandari et al. 2020 (ZeRO: Memory Optimizations Toward Training Trillion Parameter Models,
section 3): weights and gradients in the type of the run, and twelve bytes of fp32 master weight and two moments for
each trained number; stage 1 divides the latter over the ranks, stage 2 the gradients too, stage 3 the weights. Beside
that stands what DeepSpeed really allocates: in fp32 the master weights are a copy as well, except in stage 0; gradients
that are accumulated are in fp32 (see `sums_in_fp32`), else stages 1 and 2 hold a rank's share of them a second time;
the update makes the gradients of one group flat and fp32; stage 3 keeps up to 10^9 gathered numbers alive. Activations
are counted in `activations`.
"""

from __future__ import annotations

from dataclasses import dataclass

from phitrain.activations import activations
from phitrain.config import Config, StrategyPart
from phitrain.engine import BUCKET, sums_in_fp32
from phitrain.flops import Work
from phitrain.models.phi3v.layers import Layers, Linear

WIDTHS = {"fp32": 4, "bf16": 2, "fp16": 2}
FP32 = 4
FP64 = 8  # in which norms are taken
MOMENTS = 8  # two in fp32
GATHERED = 1_000_000_000  # DeepSpeed's stage3_max_live_parameters; its groups of the update are as large
REDUCED = 500_000_000  # numbers that stage 0 reduces at a time
NF4 = 1 / 2 + 1 / 64 + FP32 / (64 * 256)  # four bits, an 8-bit scale for each 64, an fp32 scale for 256 of those


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one rank, at most.

    On its device through forward and backward pass: `weights`, `gradients`, `optimizer`, `activations`, `buffers`.
    `update`: what the optimizer's step has beside weights and state. `loading`: the most until training begins.
    `host`: what is offloaded.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    buffers: int
    update: int
    loading: int
    host: int

    @property
    def device(self) -> int:
        """The most that is alive at a time."""
        state = self.weights + self.optimizer
        passes = self.gradients + self.activations + self.buffers
        return max(state + passes, state + self.update, self.loading)


def memory_of(config: Config, layers: Layers, world_size: int, work: Work) -> Memory:
    """Of one rank of a settled configuration, for a micro-batch of this size."""
    state = _State(config, layers, world_size)
    kept = activations(
        layers,
        config.strategy,
        work,
        width=state.width,
        checkpointing=config.model.gradient_checkpointing,
        attention=config.model.attention,
    )
    return Memory(
        weights=0 if state.offload == "parameters" else state.weights,
        gradients=state.gradients(),
        optimizer=0 if state.is_offloaded else state.optimizer(),
        activations=kept.peak,
        buffers=state.buffers(),
        update=state.update(),
        loading=state.loading(),
        host=state.host(),
    )


def trained_by_part(layers: Layers, strategy: StrategyPart) -> dict[str, int]:
    """How many numbers of each part of the model have a gradient."""
    if strategy.kind in ("lora", "qlora"):
        return _adapters_by_part(layers, strategy)
    trained = {"llm": layers.num_llm_values}
    if strategy.kind == "full":
        trained["vision"] = layers.num_vision_values
    if strategy.kind == "full" or strategy.train_projector:
        trained["projector"] = layers.num_projector_values
    return trained


def num_trained(layers: Layers, strategy: StrategyPart) -> int:
    """How many numbers have a gradient."""
    return sum(trained_by_part(layers, strategy).values())


def weight_bytes(layers: Layers, strategy: StrategyPart, width: int) -> int:
    """Of the whole model, with its adapters, as one process holds it.

    qlora packs the linear layers of all blocks and of the projector; head, embeddings and norms keep their type.
    """
    adapters = num_trained(layers, strategy) if strategy.kind in ("lora", "qlora") else 0
    if strategy.kind != "qlora":
        return (layers.num_values + adapters) * width
    vision_blocks = layers.num_vision_blocks + layers.num_idle_blocks
    packed = layers.num_blocks * layers.block.num_weights + vision_blocks * layers.vision_block.num_weights
    packed += sum(linear.num_weights for linear in layers.projector)
    return round(packed * NF4) + (layers.num_values - packed + adapters) * width


class _State:
    """What is there of weights, gradients and optimizer state, in bytes of one rank."""

    def __init__(self, config: Config, layers: Layers, world_size: int) -> None:
        train = config.train
        parts = trained_by_part(layers, config.strategy)
        self.stage, self.offload, self.ranks = train.zero, train.offload, world_size
        self.width = WIDTHS[config.model.precision]
        self.accumulates = train.batch_size > train.batch_size_per_gpu * world_size
        self.adds_in_fp32 = sums_in_fp32(config, world_size)
        self.grad_width = FP32 if self.adds_in_fp32 else self.width
        self.trained, self.largest_group = sum(parts.values()), max(parts.values())
        self.whole = weight_bytes(layers, config.strategy, self.width)
        self.largest = (
            layers.hidden_size * layers.vocab_size if config.strategy.kind in ("full", "frozen-vision") else 0
        )
        self.share = self.trained / (world_size if self.stage else 1)  # of the optimizer

    @property
    def is_offloaded(self) -> bool:
        return self.offload != "none"

    @property
    def weights(self) -> int:
        return round(self.whole / self.ranks) if self.stage == 3 else self.whole

    def optimizer(self) -> int:
        return round((MOMENTS + FP32 * (self.stage > 0)) * self.share)

    def gradients(self) -> int:
        """Of a whole step's end, as if the activations were still there."""
        whole, share = self.grad_width * self.trained, round(self.grad_width * self.share)
        is_twice = self.accumulates and self.stage in (1, 2) and not (self.adds_in_fp32 or self.is_offloaded)
        if self.stage < 2:
            return whole + share * is_twice
        return 0 if self.is_offloaded else share * (1 + is_twice)

    def buffers(self) -> int:
        """Of what travels: gradients that wait, and in stage 3 the weights that have been gathered."""
        if self.stage == 0:
            return 0
        waiting = (self.grad_width if self.stage == 1 else self.width) * min(BUCKET, self.trained)
        if self.stage < 3:
            return waiting + self.width * self.largest * self.is_offloaded
        gathers = self.ranks > 1 or self.offload == "parameters"
        return waiting + gathers * min(self.whole, self.width * GATHERED)

    def update(self) -> int:
        """Gradients once more, flat and in fp32, where they are not yet."""
        if self.is_offloaded:
            return 0
        if self.stage == 0:
            return self.width * (self.trained + min(self.trained, REDUCED))
        if self.adds_in_fp32 and self.stage < 3:  # added up in one flat tensor
            return self.gradients() + FP64 * self.largest
        group = self.largest_group / self.ranks
        if self.stage == 3:
            group = min(group, GATHERED)
        flat = FP32 if self.grad_width == FP32 else self.width + FP32
        return round(self.grad_width * self.share + flat * group)

    def loading(self) -> int:
        """When DeepSpeed makes the weights flat and copies its share of them to fp32."""
        if self.stage == 0:
            return self.whole
        if self.offload == "parameters":
            return self.buffers()  # each layer goes to the host as it comes
        copies = (self.width + (0 if self.is_offloaded else FP32)) * self.largest_group / self.ranks
        flat = self.width * self.trained / (self.ranks if self.stage == 3 else 1)
        return self.weights + round(flat + copies)

    def host(self) -> int:
        """Offloaded state, with the gradients in fp32 and in the type of the run, and the weights."""
        if not self.is_offloaded:
            return 0
        again = self.grad_width * (1 + (self.accumulates and self.stage < 3))
        state = round((FP32 + MOMENTS + FP32 + again) * self.share)
        return state + (self.weights if self.offload == "parameters" else 0)


def _adapters_by_part(layers: Layers, strategy: StrategyPart) -> dict[str, int]:
    def values(linear: Linear) -> int:
        magnitudes = linear.outputs if strategy.dora else 0
        return linear.count * (strategy.lora_rank * (linear.inputs + linear.outputs) + magnitudes)

    trained = {"llm": layers.num_blocks * sum(map(values, layers.block.linears)) + values(layers.head)}
    if not strategy.freeze_vision:
        trained["vision"] = layers.num_vision_blocks * sum(map(values, layers.vision_block.linears))
        trained["projector"] = sum(map(values, layers.projector))
    return trained
