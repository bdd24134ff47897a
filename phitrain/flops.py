"""Floating-point operations of a training step, as the mathematics needs them and as they are computed.

A product of an (n, k) with a (k, m) matrix counts 2 n k m, as in Kaplan et al. 2020 (Scaling Laws for Neural Language
Models, section 2.1); everything that is no matrix product is left out, the embedding lookup too. For one linear layer
over n rows that is 2 n k m forward, as much again for the gradient of its input and as much for that of its weight:
the 6 a parameter and token of full training. Attention adds, for each pair of a query and a key that it sees, two
products forward and four backward (Chowdhery et al. 2022, PaLM, appendix B, who count all pairs; here a token sees
itself and those before it, so a sample of n tokens has n (n + 1) / 2).

MFU takes the operations that the mathematics of the strategy needs; HFU those that run, with what checkpointing
computes again (Korthikanti et al. 2022, Reducing Activation Recomputation in Large Transformer Models, appendix A).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from phitrain.config import StrategyPart
from phitrain.models.phi3v.layers import PATCHES, ROWS, Block, Layers, Linear

if TYPE_CHECKING:
    from phitrain.batch import Batch

SEPARATORS = 2  # rows of the projector's input beside those of the crops


@dataclass(frozen=True, kw_only=True)
class Work:
    """One micro-batch. `lengths` are tokens of each sample, `num_crops` real crops of 336 x 336, `num_supervised`
    positions that go through the head: only those with a label do.

    `shape` (samples, tokens) and `num_crops_run` are what is computed, with padding, fillers and the idle crop.
    """

    lengths: tuple[int, ...]
    num_crops: int
    num_supervised: int
    shape: tuple[int, int]
    num_crops_run: int

    @classmethod
    def of(cls, batch: Batch) -> Work:
        """Of a batch as the trainer gives it to the model."""
        rows, tokens = batch.inputs["input_ids"].shape
        pixels = batch.inputs.get("pixel_values")
        return cls(
            lengths=batch.lengths,
            num_crops=batch.num_crops,
            num_supervised=batch.num_supervised,
            shape=(int(rows), int(tokens)),
            num_crops_run=1 if pixels is None else len(pixels),
        )


@dataclass(frozen=True, kw_only=True)
class StepFlops:
    """`model`: what the mathematics of the strategy needs: forward, the gradients of what is trained and of what lies
    on the way there. `hardware`: what runs."""

    model: int = 0
    hardware: int = 0

    def __add__(self, other: StepFlops) -> StepFlops:
        return StepFlops(model=self.model + other.model, hardware=self.hardware + other.hardware)


def step_flops(
    layers: Layers, strategy: StrategyPart, work: Work, *, checkpointing: str = "off", attention: str = "sdpa"
) -> StepFlops:
    """Operations of one micro-batch, forward and backward.

    Left out of both: gradients of frozen weights, the backward pass of a frozen vision part, empty crops. In `hardware`
    only: padding, the idle crop of a batch without images, the blocks that `checkpointing` (off, on, vision, llm)
    computes again, the square that eager attention computes of a causal mask (sdpa too, where there is padding), the
    scores that sdpa and flash attention compute again in their backward pass, and input gradients that autograd
    computes and nothing uses.
    """
    llm, vision, projector = _trained(strategy)
    has_vision_gradient = work.num_crops > 0 and vision.is_trained
    needed = _Amount(
        tokens=sum(work.lengths),
        pairs=_causal_pairs(work.lengths),
        crops=work.num_crops,
        supervised=work.num_supervised,
        into_decoder=llm.weights or has_vision_gradient,
        into_projector=vision.is_trained,
    )
    run = replace(
        needed,
        tokens=work.shape[0] * work.shape[1],
        pairs=_computed_pairs(work, attention),
        crops=work.num_crops_run,
        # With checkpointing peft has the embedding's output require a gradient.
        into_decoder=llm.weights or vision.is_trained or checkpointing != "off",
        into_projector=projector.is_trained,
        again=("llm", "vision") if checkpointing == "on" else (checkpointing,),
        scores_again=attention != "eager",
    )
    parts = (llm, vision, projector)
    return StepFlops(model=_total(layers, parts, needed), hardware=_total(layers, parts, run))


def utilisation(flops: float, seconds: float, peak: float | None) -> float | None:
    """The share of `peak` operations a second that `flops` in `seconds` come to; None where the peak is not known."""
    return None if peak is None else flops / seconds / peak


@dataclass(frozen=True, kw_only=True)
class _Training:
    """How the linear layers of a part are trained: by their weights, by adapters of a rank, or not."""

    weights: bool = False
    rank: int = 0
    dora: bool = False
    dropout: bool = False

    @property
    def is_trained(self) -> bool:
        return self.weights or self.rank > 0


@dataclass(frozen=True, kw_only=True)
class _Amount:
    """How much of everything; `into_decoder` and `into_projector` say whether the gradient goes on to their inputs."""

    tokens: int
    pairs: int
    crops: int
    supervised: int
    into_decoder: bool
    into_projector: bool
    again: tuple[str, ...] = ()
    scores_again: bool = False


@dataclass(frozen=True, kw_only=True)
class _Cost:
    forward: int = 0
    backward: int = 0

    def __add__(self, other: _Cost) -> _Cost:
        return _Cost(forward=self.forward + other.forward, backward=self.backward + other.backward)

    @property
    def total(self) -> int:
        return self.forward + self.backward


def _trained(strategy: StrategyPart) -> tuple[_Training, _Training, _Training]:
    """Of the language model, the vision tower and the projector."""
    nothing, weights = _Training(), _Training(weights=True)
    if strategy.kind == "full":
        return weights, weights, weights
    if strategy.kind == "frozen-vision":
        return weights, nothing, weights if strategy.train_projector else nothing
    adapters = _Training(rank=strategy.lora_rank, dora=strategy.dora, dropout=strategy.lora_dropout > 0)
    vision = nothing if strategy.freeze_vision else adapters
    return adapters, vision, vision


def _causal_pairs(lengths: tuple[int, ...]) -> int:
    return sum(length * (length + 1) // 2 for length in lengths)


def _computed_pairs(work: Work, attention: str) -> int:
    rows, tokens = work.shape
    is_padded = sum(work.lengths) != rows * tokens
    if attention == "eager" or (attention == "sdpa" and is_padded):
        return rows * tokens**2
    return _causal_pairs(work.lengths)


def _total(layers: Layers, trained: tuple[_Training, _Training, _Training], amount: _Amount) -> int:
    llm, vision, projector = trained
    decoder = _blocks(
        layers.block,
        layers.num_blocks,
        amount.tokens,
        amount.pairs,
        llm,
        passes=amount.into_decoder,
        again="llm" in amount.again,
        scores_again=amount.scores_again,
    )
    head = _linear(layers.head, amount.supervised, llm, passes=True)
    if not amount.crops:
        return (decoder + head).total
    tower = _blocks(
        layers.vision_block,
        layers.num_vision_blocks,
        amount.crops * (PATCHES + 1),
        amount.crops * (PATCHES + 1) ** 2,
        vision,
        passes=vision.weights,
        again="vision" in amount.again,
        scores_again=amount.scores_again,
    )
    patches = _linear(layers.patches, amount.crops * PATCHES, _Training(weights=vision.weights), passes=False)
    return (decoder + head + tower + patches + _projector(layers, projector, amount)).total


def _projector(layers: Layers, training: _Training, amount: _Amount) -> _Cost:
    first, second = layers.projector
    rows = amount.crops * ROWS + SEPARATORS
    cost = _linear(first, rows, training, passes=amount.into_projector) + _linear(second, rows, training, passes=True)
    if training.weights and not amount.into_projector:
        cost += _Cost(backward=2 * SEPARATORS * first.num_weights)  # the separators are trained, the crops' rows not
    return cost


def _blocks(
    block: Block,
    num_blocks: int,
    rows: int,
    pairs: int,
    training: _Training,
    *,
    passes: bool,
    again: bool,
    scores_again: bool,
) -> _Cost:
    """`num_blocks` of a kind; `passes`: the gradient goes on to the input of the first of them."""
    attention = _attention(block, pairs, is_trained=training.is_trained, scores_again=scores_again)
    inner = _Cost()
    for linear in (block.output, block.up, block.down):
        inner += _linear(linear, rows, training, passes=True)
    cost = _Cost()
    for number in range(num_blocks):
        cost += inner + attention
        for linear in block.projections:
            cost += _linear(linear, rows, training, passes=passes or number > 0)
    if again and training.is_trained:
        cost += _Cost(backward=cost.forward - num_blocks * _last_product(block.down, rows, training))
    return cost


def _attention(block: Block, pairs: int, *, is_trained: bool, scores_again: bool) -> _Cost:
    product = 2 * pairs * block.num_heads * block.head_size
    return _Cost(forward=2 * product, backward=(4 + scores_again) * product if is_trained else 0)


def _linear(linear: Linear, rows: int, training: _Training, *, passes: bool) -> _Cost:
    """All `count` layers of the kind; `passes`: the gradient of the input is computed, if anything is trained."""
    whole = 2 * rows * linear.num_weights
    if not training.is_trained:
        return _Cost(forward=whole)
    cost = _Cost(forward=whole, backward=whole * (training.weights + passes))
    return cost + _adapter(linear, rows, training, passes=passes) if training.rank else cost


def _adapter(linear: Linear, rows: int, training: _Training, *, passes: bool) -> _Cost:
    """The two small products of LoRA, B (A x): A takes the inputs to `rank` numbers, B those to the outputs."""
    narrow = 2 * linear.count * training.rank
    first, second = rows * narrow * linear.inputs, rows * narrow * linear.outputs
    cost = _Cost(forward=first + second, backward=first * (1 + passes) + 2 * second)
    if training.dora:  # the norm of W + B A; as peft does it, A is multiplied by a unit matrix first
        cost += _Cost(forward=linear.inputs * narrow * (linear.inputs + linear.outputs))
        if training.dropout:  # then the whole product is needed of the input before and after dropout
            whole = 2 * rows * linear.num_weights
            cost += _Cost(forward=whole, backward=whole * passes)
    return cost


def _last_product(linear: Linear, rows: int, training: _Training) -> int:
    """What is not computed again: the recomputation of a block ends when the last product's inputs are there."""
    if training.dora:
        return 0
    width = training.rank or linear.inputs
    return 2 * rows * linear.count * width * linear.outputs
