"""Which row of which data set every sample of an epoch is: a function of seed, epoch and place, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, get_args

import numpy as np

from phidata.streaming.interleaving import Pattern, pattern
from phidata.streaming.order import Order, order_of
from phidata.streaming.permutation import Numbers
from phidata.streaming.sources import Source

Stop = Literal["all", "first"]
STOPS: tuple[Stop, ...] = get_args(Stop)


class Plan(Protocol):
    """The samples of an epoch, numbered from 0."""

    num_samples: int

    def find(self, epoch: int, places: Numbers) -> tuple[Numbers, Numbers]:
        """For places from 0 to below `num_samples`: the number of the data set of each, and the number of its row."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a plan is made from. `shares` are those of the sources that are mixed, None where each row comes once."""

    sources: tuple[Source, ...]
    seed: int
    shuffle: bool
    window: int | None
    shares: tuple[int, ...] | None
    stop: Stop

    def plan(self) -> Plan:
        """The order that follows from it."""
        if self.shares is None:
            counts = [count for source in self.sources for count in source.counts]
            order = order_of(counts, shuffle=self.shuffle, window=self.window)
            return Pooled(order, [source.num_rows for source in self.sources], seed=self.seed)
        orders = [order_of(source.counts, shuffle=self.shuffle, window=self.window) for source in self.sources]
        return Mixed(orders, self.shares, stop=self.stop, seed=self.seed, shuffle=self.shuffle)


class Pooled:
    """All rows of all data sets, each once, in one order."""

    def __init__(self, order: Order, counts: Sequence[int], *, seed: int) -> None:
        self.num_samples = order.num_rows
        self._order, self._seed = order, seed
        self._bounds = np.cumsum([0, *counts])

    def find(self, epoch: int, places: Numbers) -> tuple[Numbers, Numbers]:
        rows = self._order.rows(places, f"seed {self._seed} epoch {epoch}")
        sources = np.searchsorted(self._bounds, rows, side="right") - 1
        return sources, rows - self._bounds[sources]


class Mixed:
    """Data sets that alternate by whole shares, each in its own order.

    One that has no rows left begins anew, in another order. `stop` all: the epoch ends when each has given all of its
    rows; first: where the first would have to begin anew.
    """

    def __init__(self, orders: Sequence[Order], shares: Sequence[int], *, stop: Stop, seed: int, shuffle: bool) -> None:
        self.num_samples = _num_samples([order.num_rows for order in orders], shares, stop)
        self._orders, self._shares = tuple(orders), tuple(shares)
        self._seed, self._shuffle = seed, shuffle
        self._pattern = lru_cache(maxsize=2)(self._pattern_of)

    def find(self, epoch: int, places: Numbers) -> tuple[Numbers, Numbers]:
        sources, nth = self._pattern(epoch).find(places)
        rows = np.empty_like(places)
        for source in sorted(set(sources.tolist())):
            own = sources == source
            rows[own] = self._rows(source, nth[own], epoch)
        return sources, rows

    def _rows(self, source: int, nth: Numbers, epoch: int) -> Numbers:
        order = self._orders[source]
        times, places = np.divmod(nth, order.num_rows)
        rows = np.empty_like(nth)
        for time in sorted(set(times.tolist())):
            now = times == time
            rows[now] = order.rows(places[now], f"seed {self._seed} epoch {epoch} source {source} time {time}")
        return rows

    def _pattern_of(self, epoch: int) -> Pattern:
        return pattern(self._shares, f"seed {self._seed} epoch {epoch} pattern" if self._shuffle else None)


def _num_samples(counts: Sequence[int], shares: Sequence[int], stop: Stop) -> int:
    """The samples of an epoch, whatever its order: by then every data set has given all, or none more than all."""
    period = sum(shares)
    if stop == "all":
        return max(-(-count * period // share) for count, share in zip(counts, shares, strict=True))
    return min(count * period // share for count, share in zip(counts, shares, strict=True))
