"""Every combination of strategy, precision, attention, ZeRO stage, offload, checkpointing, processes and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import product

from phidata.errors import UsageError
from phitrain.config import CHECKPOINTING, OFFLOADS, STRATEGIES, Config, Values, config_from
from phitrain.resolve import Hardware, resolve

CPU = Hardware(name="CPU", cuda=False, bf16=True, flash=False)
A100 = Hardware(name="A100", cuda=True, bf16=True, flash=True)
V100 = Hardware(name="V100", cuda=True, bf16=False, flash=False)

DATA = ("text only", "one image", "many images", "mixed in a batch", "mixed over ranks")
DIMENSIONS: Mapping[str, tuple[str | int, ...]] = {
    "strategy": STRATEGIES,
    "precision": ("fp32", "bf16", "fp16"),
    "attention": ("eager", "sdpa", "flash_attention_2"),
    "zero": (0, 1, 2, 3),
    "offload": OFFLOADS,
    "checkpointing": CHECKPOINTING,
    "processes": (1, 2),
    "data": DATA,
}
STEPS = 4
LEARNING_RATE = 1e-2
RANK = 4  # of the adapters


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination."""

    strategy: str
    precision: str
    attention: str
    zero: int
    offload: str
    checkpointing: str
    processes: int
    data: str

    def __str__(self) -> str:
        return " × ".join(map(str, asdict(self).values()))

    @property
    def per_rank(self) -> int:
        """Rows of one forward pass."""
        if self.data == "mixed over ranks":
            return 1
        return 2 if self.data in ("text only", "mixed in a batch") else 2 // self.processes

    def settings(self) -> Values:
        """What a user would ask for."""
        return {
            "model": {
                "precision": self.precision,
                "attention": self.attention,
                "gradient_checkpointing": self.checkpointing,
            },
            "strategy": {"kind": self.strategy, "lora_rank": RANK},
            "optimizer": {"learning_rate": LEARNING_RATE, "warmup_steps": 1},
            "train": {
                "zero": self.zero,
                "offload": self.offload,
                "batch_size": batch_of(self.data),
                "batch_size_per_gpu": self.per_rank,
                "max_steps": STEPS,
                "output_dir": "out",
            },
        }


def batch_of(data: str) -> int:
    """Rows of a step, over all processes."""
    return 4 if data in ("text only", "mixed in a batch") else 2


def all_cells() -> Iterator[Cell]:
    """In a fixed order."""
    for values in product(*DIMENSIONS.values()):
        yield Cell(**dict(zip(DIMENSIONS, values, strict=True)))  # type: ignore[arg-type]  # a name's values are of its type


def resolved(cell: Cell, hardware: Hardware, *more: Values) -> tuple[Config, list[str]]:
    """The configuration as it runs, and what was said about it. Raises UsageError for a refused cell."""
    return resolve(config_from(cell.settings(), *more), cell.processes, hardware)


def refusal(cell: Cell, hardware: Hardware) -> str | None:
    """The sentence that refuses a cell before anything is loaded; None for one that is trained."""
    return _refusal(replace(cell, data=DATA[0]), hardware)  # the configuration does not know the rows


def run_of(cell: Cell, hardware: Hardware) -> Cell:
    """The cell that is trained when this one is asked for: itself, or what the configuration is resolved to."""
    config, _ = resolved(cell, hardware)
    return replace(cell, zero=config.train.zero)


def runs_on(hardware: Hardware) -> list[Cell]:
    """Every different run among the cells that are not refused."""
    return list(dict.fromkeys(run_of(cell, hardware) for cell in all_cells() if refusal(cell, hardware) is None))


@cache
def _refusal(cell: Cell, hardware: Hardware) -> str | None:
    try:
        resolved(cell, hardware)
    except UsageError as error:
        return str(error)
    return None
