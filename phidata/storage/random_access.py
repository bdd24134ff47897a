"""Pieces of a file, read wherever they lie."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

MAX_OPEN = 64  # files of a process at a time, however many shards it reads


class RandomAccessFile:
    """A file that is opened when it is first read. Safe to share between threads and to send to other processes.

    It is read, never mapped into memory: of a file that becomes shorter a reader gets less, where a map would end the
    process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = _Place(path)

    def read(self, offset: int, num_bytes: int) -> bytes:
        """What stands there; less of it where the file ends before."""
        place = self._place
        descriptor = place.descriptor or _open_at(place)  # kept, so that no other thread's reading closes it
        place.is_used = True
        return os.pread(descriptor.number, num_bytes, offset)

    def __reduce__(self) -> tuple[type[RandomAccessFile], tuple[Path]]:
        return RandomAccessFile, (self.path,)

    def __del__(self) -> None:
        if _open is not None:  # the module may be gone when this is called
            _open.pop(id(self._place), None)


class _Place:
    """Where the descriptor of a file is while it is open; whether it has been read since that was last asked."""

    __slots__ = ("descriptor", "is_used", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor: _Descriptor | None = None
        self.is_used = False


class _Descriptor:
    """An open file, closed when nobody refers to it: a thread that reads from it does."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # see above
        if self.number >= 0:
            close(self.number)


_open: OrderedDict[int, _Place] = OrderedDict()  # by their ids, the next to be closed first
_lock = Lock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def _open_at(place: _Place) -> _Descriptor:
    with _lock:
        descriptor = place.descriptor = place.descriptor or _Descriptor(place.path)
        _open[id(place)] = place
        while len(_open) > MAX_OPEN:
            _close_one()
    return descriptor


def _close_one() -> None:
    """Close the file that was opened first among those that were not read since they were last passed over."""
    number, place = _open.popitem(last=False)
    if place.is_used:
        place.is_used = False
        _open[number] = place
    else:
        place.descriptor = None
