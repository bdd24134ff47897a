"""The sizes of a phi3_v model as plain numbers: its linear layers, its attention, its tensors. No weights are made."""

from __future__ import annotations

from dataclasses import dataclass

from phitrain.models.phi3v.configuration import Phi3VConfig
from phitrain.models.phi3v.geometry import MERGED

PATCHES = 4 * MERGED * MERGED  # of a crop; 2 x 2 of them become one row of the decoder's input
ROWS = MERGED * MERGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """One linear layer, or convolution with as many weights, `count` times in the model."""

    inputs: int
    outputs: int
    bias: bool = False
    count: int = 1

    @property
    def num_weights(self) -> int:
        """Of all `count` of them, without biases."""
        return self.count * self.inputs * self.outputs

    @property
    def num_biases(self) -> int:
        return self.count * self.outputs if self.bias else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One transformer block, in the order in which it runs: `projections` make queries, keys and values of its input.

    `num_norm_values`: numbers in the weights and biases of its normalisations.
    """

    projections: tuple[Linear, ...]
    output: Linear
    up: Linear
    down: Linear
    num_heads: int
    head_size: int
    num_norm_values: int

    @property
    def linears(self) -> tuple[Linear, ...]:
        return (*self.projections, self.output, self.up, self.down)

    @property
    def num_weights(self) -> int:
        return sum(linear.num_weights for linear in self.linears)

    @property
    def num_values(self) -> int:
        return self.num_weights + sum(linear.num_biases for linear in self.linears) + self.num_norm_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """A whole model. `num_idle_values` are in tensors that are loaded and saved, but never run: see
    `Phi3VForCausalLM.unused_parameter_names`."""

    hidden_size: int
    vocab_size: int
    block: Block
    num_blocks: int
    head: Linear
    projector: tuple[Linear, Linear]
    vision_size: int
    patches: Linear
    vision_block: Block
    num_vision_blocks: int
    num_idle_values: int

    @property
    def num_idle_blocks(self) -> int:
        """Blocks of the vision tower whose output nothing reads."""
        return self.num_idle_values // self.vision_block.num_values

    @property
    def num_llm_values(self) -> int:
        """Embedding, blocks, last norm and head."""
        embedding = self.vocab_size * self.hidden_size
        return embedding + self.num_blocks * self.block.num_values + self.hidden_size + self.head.num_weights

    @property
    def num_projector_values(self) -> int:
        """With the two separators."""
        linears = sum(linear.num_weights + linear.num_biases for linear in self.projector)
        return linears + 2 * self.projector[0].inputs

    @property
    def num_vision_values(self) -> int:
        """Of the tower, without what never runs: class and position embeddings, first norm, patches, blocks."""
        embeddings = (1 + PATCHES + 1) * self.vision_size + 2 * self.vision_size
        return embeddings + self.patches.num_weights + self.num_vision_blocks * self.vision_block.num_values

    @property
    def num_values(self) -> int:
        """Of every tensor of the checkpoint: 4,146,621,440 in the published sizes."""
        return self.num_llm_values + self.num_projector_values + self.num_vision_values + self.num_idle_values


def layers_of(config: Phi3VConfig) -> Layers:
    """The sizes that a configuration describes."""
    clip = config.clip_config()
    assert config.num_key_value_heads is not None
    hidden, vision = config.hidden_size, clip.hidden_size
    vision_block = _vision_block(vision, clip.intermediate_size, clip.num_attention_heads)
    return Layers(
        hidden_size=hidden,
        vocab_size=config.vocab_size,
        block=_decoder_block(hidden, config.intermediate_size, config.num_attention_heads, config.num_key_value_heads),
        num_blocks=config.num_hidden_layers,
        head=Linear(inputs=hidden, outputs=config.vocab_size),
        projector=(
            Linear(inputs=4 * vision, outputs=hidden, bias=True),
            Linear(inputs=hidden, outputs=hidden, bias=True),
        ),
        vision_size=vision,
        patches=Linear(inputs=clip.num_channels * clip.patch_size**2, outputs=vision),
        vision_block=vision_block,
        num_vision_blocks=config.num_vision_blocks,
        num_idle_values=(clip.num_hidden_layers - config.num_vision_blocks) * vision_block.num_values + 2 * vision,
    )


def _decoder_block(hidden: int, intermediate: int, heads: int, kv_heads: int) -> Block:
    head = hidden // heads
    return Block(
        projections=(Linear(inputs=hidden, outputs=(heads + 2 * kv_heads) * head),),
        output=Linear(inputs=heads * head, outputs=hidden),
        up=Linear(inputs=hidden, outputs=2 * intermediate),
        down=Linear(inputs=intermediate, outputs=hidden),
        num_heads=heads,
        head_size=head,
        num_norm_values=2 * hidden,
    )


def _vision_block(hidden: int, intermediate: int, heads: int) -> Block:
    return Block(
        projections=(Linear(inputs=hidden, outputs=hidden, bias=True, count=3),),
        output=Linear(inputs=hidden, outputs=hidden, bias=True),
        up=Linear(inputs=hidden, outputs=intermediate, bias=True),
        down=Linear(inputs=intermediate, outputs=hidden, bias=True),
        num_heads=heads,
        head_size=hidden // heads,
        num_norm_values=4 * hidden,
    )
