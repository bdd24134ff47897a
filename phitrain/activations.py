"""Bytes of the activations that a micro-batch keeps for its backward pass, and of what it works on at the peak.

Counted tensor by tensor, as Korthikanti et al. 2022 (Reducing Activation Recomputation in Large Transformer Models,
section 4) do, for the operations that this model really consists of: RMSNorm computes in fp32 and keeps its input in
it, sdpa and flash attention keep queries, keys, values, output and one number a query, not the scores. What autograd
shares is counted once. Trained adapters keep the inputs that frozen weights need not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from phitrain.config import StrategyPart
from phitrain.flops import SEPARATORS, Work
from phitrain.models.phi3v.geometry import CROP
from phitrain.models.phi3v.layers import PATCHES, ROWS, Block, Layers, Linear

FP32 = 4


@dataclass(frozen=True, kw_only=True)
class Activations:
    """Bytes. `kept`: from the forward pass to the backward pass. `working`: beside them at the peak."""

    kept: int
    working: int

    @property
    def peak(self) -> int:
        return self.kept + self.working


def activations(
    layers: Layers,
    strategy: StrategyPart,
    work: Work,
    *,
    width: int,
    checkpointing: str = "off",
    attention: str = "sdpa",
) -> Activations:
    """Of one micro-batch; `width` is the bytes of a value in the type that the model computes in."""
    count = _Count(layers, strategy, work, width, attention)
    again = {part: checkpointing in ("on", part) for part in ("llm", "vision")}
    kept = count.inputs() + count.ends()
    kept += layers.num_blocks * (count.block_input() if again["llm"] else count.block())
    working = max(count.block_backward() + count.block() * again["llm"], count.norm_backward(), count.loss())
    if count.trains_vision:
        kept += layers.num_vision_blocks * (count.vision_input() if again["vision"] else count.vision_block())
        working = max(working, count.vision_backward() + count.vision_block() * again["vision"])
    if count.rank and checkpointing != "off":
        kept += count.block_input()  # peft has the token embeddings require a gradient
    return Activations(kept=kept, working=working)


class _Count:
    """Bytes of each kind for one micro-batch."""

    def __init__(self, layers: Layers, strategy: StrategyPart, work: Work, width: int, attention: str) -> None:
        self.layers, self.strategy, self.work, self.width = layers, strategy, work, width
        self.attention = attention
        self.rows = work.shape[0] * work.shape[1]
        self.crop_rows = work.num_crops_run * (PATCHES + 1)
        self.table_rows = work.num_crops_run * ROWS + SEPARATORS
        self.rank = strategy.lora_rank if strategy.kind in ("lora", "qlora") else 0
        self.trains_weights = not self.rank
        self.trains_vision = strategy.kind == "full" or (self.rank > 0 and not strategy.freeze_vision)

    def inputs(self) -> int:
        """Pixels as they come, in fp32, and for the patches' weights in the model's type; cosine, sine; a mask."""
        rows, tokens = self.work.shape
        pixels = self.work.num_crops_run * 3 * CROP * CROP
        angles = 2 * self.rows * self.layers.block.head_size * self.width
        is_padded = sum(self.work.lengths) != rows * tokens
        mask_width = self.width if self.attention == "eager" else int(self.attention == "sdpa" and is_padded)
        return pixels * (FP32 + self.width * (self.strategy.kind == "full")) + angles + self.rows * tokens * mask_width

    def ends(self) -> int:
        """What is kept around the blocks: of the projector, the last norm and the head."""
        hidden = self.layers.hidden_size
        norm = self.rows * hidden * (FP32 + self.width * self.trains_weights)
        head = self.work.num_supervised * (hidden * self.width + self.layers.vocab_size * FP32)
        kept = norm + head + self.work.num_supervised * self.adapters([self.layers.head])
        if self.trains_vision or self.strategy.train_projector:
            inputs = self.width * (self.layers.projector[0].inputs + 2 * hidden)
            kept += self.table_rows * (inputs + self.adapters(self.layers.projector))
        return kept

    def block_input(self) -> int:
        return self.rows * self.layers.hidden_size * self.width

    def vision_input(self) -> int:
        return self.crop_rows * self.layers.vision_size * self.width

    def block(self) -> int:
        """Of one decoder block: both norms, queries, keys, values, the attended values, gate, up and their product."""
        block, hidden = self.layers.block, self.layers.hidden_size
        (projection,) = block.projections
        norm = hidden * (FP32 + self.width * (1 + self.trains_weights))  # input in fp32, normalised, output
        attended = block.output.inputs
        rotated = (projection.outputs + attended) // 2  # queries and keys
        copies = 2 if self.attention == "sdpa" else 1  # on a CPU the heads are put together in a copy
        kept = projection.outputs + rotated + copies * attended + block.up.outputs + 2 * block.down.inputs
        scores = self.scores(block, self.work.shape[1])
        return self.rows * (2 * norm + self.width * kept + scores + self.adapters(block.linears))

    def vision_block(self) -> int:
        """Of one CLIP block: norms in and out, queries, keys, values, the attended values; fc1, its sigmoid, both."""
        block, copies = self.layers.vision_block, 9 if self.attention == "sdpa" else 8
        kept = self.width * (copies * self.layers.vision_size + 3 * block.up.outputs)
        return self.crop_rows * (kept + self.scores(block, PATCHES + 1) + self.adapters(block.linears))

    def scores(self, block: Block, keys: int) -> int:
        """Of a query: what softmax gives, in fp32 and in the model's type; other kernels keep one number of it."""
        per_key = FP32 + self.width if self.width < FP32 else FP32
        return block.num_heads * (keys * per_key if self.attention == "eager" else FP32)

    def adapters(self, linears: Iterable[Linear]) -> int:
        """Of a row: the narrow vectors, dropout's masks, for DoRA the outputs of base layer and adapter."""
        if not self.rank:
            return 0
        per_layer = 0
        for linear in linears:
            kept = self.rank * self.width + 2 * self.width * linear.outputs * self.strategy.dora
            per_layer += linear.count * (kept + linear.inputs * (self.strategy.lora_dropout > 0))
        return per_layer

    def block_backward(self) -> int:
        """The most that is on its way through a decoder block: gradients of the MLP's two halves, or of the scores."""
        block = self.layers.block
        through = self.rows * self.width * (block.down.outputs + 2 * block.down.inputs)
        if self.attention != "eager":
            return through
        done = self.rows * self.width * (block.up.outputs + 2 * block.down.inputs)  # freed by then
        per_score = 2 * FP32 - (self.width if self.width < FP32 else 0)
        return max(through, self.rows * self.work.shape[1] * block.num_heads * per_score - done)

    def vision_backward(self) -> int:
        block = self.layers.vision_block
        return self.crop_rows * self.width * (block.down.outputs + 2 * block.down.inputs)

    def norm_backward(self) -> int:
        """Gradients in fp32 on their way through a norm."""
        return self.rows * self.layers.hidden_size * (4 * FP32 + self.width)

    def loss(self) -> int:
        """Gradients of the logits, in fp32 and in the model's type."""
        return self.work.num_supervised * self.layers.vocab_size * (FP32 + self.width)
