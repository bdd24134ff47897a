"""Which way of training fits into a device: the same strategy with more and more of the state divided and moved."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from phitrain.config import Config
from phitrain.flops import Work
from phitrain.memory import Memory, memory_of
from phitrain.models.phi3v.layers import Layers

# Assumed, not computed: the driver's own memory, work space of cuBLAS, NCCL's buffers, gaps between tensors.
RESERVE = 3 * 2**29
TIGHT = 0.9  # of a device: above that, another sample can be one too many


@dataclass(frozen=True, kw_only=True)
class Way:
    """How activations are kept and state is divided; the flags that say so."""

    gradient_checkpointing: str
    zero: int
    offload: str = "none"

    @property
    def flags(self) -> str:
        words = [f"--zero {self.zero}"]
        if self.gradient_checkpointing != "off":
            words.append("--gradient_checkpointing")
        if self.offload != "none":
            words.append(f"--offload {self.offload}")
        return " ".join(words)

    def applied(self, config: Config) -> Config:
        model = dataclasses.replace(config.model, gradient_checkpointing=self.gradient_checkpointing)
        train = dataclasses.replace(config.train, zero=self.zero, offload=self.offload)
        return dataclasses.replace(config, model=model, train=train)


# The fastest first: recomputing costs a third of the operations, stage 3 and the host's memory cost traffic.
WAYS = (
    Way(gradient_checkpointing="off", zero=1),
    Way(gradient_checkpointing="on", zero=1),
    Way(gradient_checkpointing="on", zero=2),
    Way(gradient_checkpointing="on", zero=3),
    Way(gradient_checkpointing="on", zero=2, offload="optimizer"),
    Way(gradient_checkpointing="on", zero=3, offload="parameters"),
)


def fits(memory: Memory, device_bytes: int) -> bool:
    """Whether a device has room for a run's peak and for what is not counted."""
    return memory.device + RESERVE <= device_bytes


def is_tight(memory: Memory, device_bytes: int) -> bool:
    """Whether it fits, and hardly more would."""
    return fits(memory, device_bytes) and memory.device + RESERVE > TIGHT * device_bytes


def first_fit(
    config: Config, layers: Layers, world_size: int, work: Work, device_bytes: int
) -> tuple[Way, Memory] | None:
    """The fastest way in which a configuration's strategy fits, and its memory; None where none does."""
    for way in WAYS:
        if way.zero == 2 and way.offload == "none" and world_size == 1:
            continue  # with one process the same as stage 1
        memory = memory_of(way.applied(config), layers, world_size, work)
        if fits(memory, device_bytes):
            return way, memory
    return None
