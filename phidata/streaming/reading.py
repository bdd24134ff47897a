"""Which samples of an epoch one process reads, as numbers: for any number of ranks and of a DataLoader's workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from phidata.streaming.permutation import Numbers

Uneven = Literal["keep", "drop", "fill"]
UNEVEN: tuple[Uneven, ...] = get_args(Uneven)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one rank takes: of the samples from where it begins, every `world_size`-th, in batches of `batch_size`.

    `endless`: an epoch goes over into the next one. Otherwise `uneven` says what is done with samples at the end of an
    epoch that do not make a whole batch for each rank. keep: they are given, so that some ranks have a smaller batch or
    one less. drop: they are left out. fill: samples of the next epoch are added.
    """

    rank: int
    world_size: int
    batch_size: int = 1
    endless: bool = False
    uneven: Uneven = "keep"

    @property
    def round(self) -> int:
        """The samples that all ranks together take for a batch each."""
        return self.batch_size * self.world_size

    def num_batches(self, rest: int) -> int | None:
        """The batches of this rank in the `rest` of an epoch; None where there is no end."""
        if self.endless:
            return None
        if self.uneven == "drop":
            return rest // self.round
        if self.uneven == "fill":
            return -(-rest // self.round)
        own = len(range(self.rank, rest, self.world_size))
        return -(-own // self.batch_size)

    def samples(self, batches: Numbers, rest: int) -> tuple[Numbers, list[int]]:
        """The samples of some batches, counted from where the rank begins, and how many each batch has."""
        own = batches[:, None] * self.batch_size + np.arange(self.batch_size)
        samples = self.rank + self.world_size * own
        there = np.full(samples.shape, True) if self.endless or self.uneven != "keep" else samples < rest
        return samples[there], there.sum(axis=1).tolist()
