"""In which order the rows of a data set come: as they stand, all at random, or a window of shards at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from phidata.streaming.permutation import Numbers, permutation


class Order(Protocol):
    """The order of `num_rows` rows, another one for each key."""

    num_rows: int

    def rows(self, places: Numbers, key: str) -> Numbers:
        """Which rows stand at these places of the order, each from 0 to below `num_rows`."""


def order_of(counts: Sequence[int], *, shuffle: bool, window: int | None) -> Order:
    """The order of the rows of shards that have so many each, numbered through all of them.

    `window`: so many shards are shuffled together, one window of them after the other; without it all are.
    """
    if not shuffle:
        return AsTheyStand(sum(counts))
    if window is None or window >= len(counts):
        return Shuffled(sum(counts))
    return Windowed(counts, window)


class AsTheyStand:
    """The first row first."""

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows

    def rows(self, places: Numbers, key: str) -> Numbers:  # noqa: ARG002 - an order's signature
        return places


class Shuffled:
    """All rows at random."""

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows
        self._permutation = lru_cache(maxsize=2)(permutation)

    def rows(self, places: Numbers, key: str) -> Numbers:
        return self._permutation(self.num_rows, key)(places)

    def __reduce__(self) -> tuple[type[Shuffled], tuple[int]]:
        return Shuffled, (self.num_rows,)


class Windowed:
    """The shards at random, and then the rows of `window` shards at a time: whoever follows this order reads from no
    more shards at once, which is what a store at the other end of a network wants."""

    def __init__(self, counts: Sequence[int], window: int) -> None:
        self.num_rows = sum(counts)
        self._counts, self._window = tuple(counts), window
        self._starts = np.cumsum([0, *counts])
        self._layout = lru_cache(maxsize=2)(self._laid_out)
        self._permutation = lru_cache(maxsize=4)(permutation)

    def rows(self, places: Numbers, key: str) -> Numbers:
        layout = self._layout(key)
        found = np.empty_like(places)
        windows = np.searchsorted(layout.windows, places, side="right") - 1
        for window in sorted(set(windows.tolist())):
            begin, end = layout.windows[window : window + 2].tolist()
            here = windows == window
            shuffled = begin + self._permutation(end - begin, f"{key} window {window}")(places[here] - begin)
            nth = np.searchsorted(layout.bounds, shuffled, side="right") - 1
            found[here] = self._starts[layout.shards[nth]] + shuffled - layout.bounds[nth]
        return found

    def _laid_out(self, key: str) -> _Layout:
        shards = permutation(len(self._counts), f"{key} shards")(np.arange(len(self._counts)))
        bounds = np.cumsum([0, *np.array(self._counts)[shards]])
        return _Layout(shards=shards, bounds=bounds, windows=np.append(bounds[: -1 : self._window], bounds[-1]))

    def __reduce__(self) -> tuple[type[Windowed], tuple[tuple[int, ...], int]]:
        return Windowed, (self._counts, self._window)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """The shards one after the other; where in the order each of them begins, and the last one ends; and the same of
    the windows."""

    shards: Numbers
    bounds: Numbers
    windows: Numbers
