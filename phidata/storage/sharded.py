"""The rows of a split that is divided into shards, as one sequence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Protocol

from phidata.errors import DataError
from phidata.records import Conversation


class Shard(Protocol):
    """The rows of one shard, numbered from 0; the methods are those of RowStore."""

    def __len__(self) -> int: ...
    def row(self, number: int) -> Conversation: ...
    def rows(self, numbers: range) -> Iterator[Conversation]: ...
    def images(self, number: int, num_images: int) -> list[bytes]: ...
    def missing_images(self, number: int) -> list[str]: ...
    def place(self, number: int) -> str: ...


class ShardedRows:
    """Shards in their order. Where it is known how many rows each has, a shard is opened when it is first used."""

    image_root = None

    def __init__(
        self, path: Path, files: Sequence[Path], open_shard: Callable[[Path], Shard], *, counts: Sequence[int] | None
    ) -> None:
        self.path = path
        self.files = tuple(files)
        self._open_shard = open_shard
        self._shards: dict[int, Shard] = {}
        self._lock = Lock()
        self._counts = counts
        known = counts or [len(self._shard(number)) for number in range(len(files))]
        self._bounds = list(accumulate(known, initial=0))

    def __len__(self) -> int:
        return self._bounds[-1]

    def row(self, number: int) -> Conversation:
        shard, place = self._find(number)
        return shard.row(place)

    def rows(self, numbers: range) -> Iterator[Conversation]:
        if numbers.step < 1:
            yield from map(self.row, numbers)
            return
        for number in range(len(self.files)):
            begin, end = self._bounds[number], self._bounds[number + 1]
            here = _within(numbers, begin, end)
            if here:
                yield from self._shard(number).rows(here)

    def images(self, number: int, num_images: int) -> list[bytes]:
        shard, place = self._find(number)
        return shard.images(place, num_images)

    def missing_images(self, number: int) -> list[str]:
        shard, place = self._find(number)
        return shard.missing_images(place)

    def place(self, number: int) -> str:
        shard, place = self._find(number)
        return shard.place(place)

    def _find(self, number: int) -> tuple[Shard, int]:
        shard = bisect_right(self._bounds, number) - 1
        return self._shards.get(shard) or self._shard(shard), number - self._bounds[shard]

    def _shard(self, number: int) -> Shard:
        with self._lock:
            if number not in self._shards:
                self._shards[number] = self._opened(number)
            return self._shards[number]

    def _opened(self, number: int) -> Shard:
        shard = self._open_shard(self.files[number])
        if self._counts is not None and len(shard) != self._counts[number]:
            raise DataError(
                f"{self.files[number]} has {len(shard)} rows and its manifest says {self._counts[number]}; "
                "copy it again, or make the folder again"
            )
        return shard

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._lock = Lock()


def _within(numbers: range, begin: int, end: int) -> range:
    """Those of the numbers, which rise, that are in begin … end - 1, counted from begin."""
    skipped = max(0, -(-(begin - numbers.start) // numbers.step))
    first = numbers.start + skipped * numbers.step
    return range(first - begin, min(numbers.stop, end) - begin, numbers.step)
