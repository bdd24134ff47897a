"""What a stream has to know of torch, which it never imports: whether a DataLoader's worker reads it, and which."""

from __future__ import annotations

import sys
from multiprocessing import context
from multiprocessing.sharedctypes import RawArray
from typing import Any, NamedTuple

from phidata.streaming.state import Place


class Worker(NamedTuple):
    """One of the processes that share the samples of a rank."""

    number: int
    total: int


def this_worker() -> Worker | None:
    """The DataLoader worker that this process is; None in a process that is none."""
    data = sys.modules.get("torch.utils.data")
    info = None if data is None else data.get_worker_info()
    return None if info is None else Worker(info.id, info.num_workers)


def let_torch_iterate(kind: type) -> None:
    """Make a DataLoader take objects of this class for iterable data, where torch is imported."""
    data = sys.modules.get("torch.utils.data")
    if data is not None:
        data.IterableDataset.register(kind)


class SharedPlace:
    """Where a stream was put last, and whether workers read it since: shared by the processes that are made from one,
    by fork or by multiprocessing, so that workers that live on learn of the next epoch."""

    def __init__(self, place: Place) -> None:
        self._words = RawArray("q", 4)
        self.put(place)

    @property
    def place(self) -> Place:
        return Place(epoch=self._words[0], position=self._words[1])

    @property
    def times(self) -> int:
        """How many times it was put somewhere."""
        return int(self._words[2])

    @property
    def read_by_workers(self) -> bool:
        return bool(self._words[3])

    def put(self, place: Place) -> None:
        self._words[:] = [place.epoch, place.position, self.times + 1, 0]

    def note_reader(self, *, is_worker: bool) -> None:
        self._words[3] = int(is_worker)

    def __reduce__(self) -> tuple[Any, ...]:
        if context.get_spawning_popen() is None:  # in a copy or a file: one of its own
            return SharedPlace, (self.place,)
        return _shared_place, (self._words,)


def _shared_place(words: Any) -> SharedPlace:
    shared = SharedPlace(Place(epoch=0, position=0))
    shared._words = words
    return shared
