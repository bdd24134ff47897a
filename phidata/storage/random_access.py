"""Pieces of a file, read wherever they lie."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

MAX_OPEN = 64  # files of a process at a time, however many shards it reads


class RandomAccessFile:
    """A file that is opened when it is first read. Safe to share between threads and to send to other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, offset: int, num_bytes: int) -> bytes:
        """What stands there; less of it where the file ends before."""
        descriptor = _opened(self)  # kept, so that no other thread's reading closes it
        return os.pread(descriptor.number, num_bytes, offset)

    def __reduce__(self) -> tuple[type[RandomAccessFile], tuple[Path]]:
        return RandomAccessFile, (self.path,)

    def __del__(self) -> None:
        if _open is not None:  # the module may be gone when this is called
            _open.pop(id(self), None)


class _Descriptor:
    """An open file, closed when nobody refers to it: a thread that reads from it does."""

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # see above
        if self.number >= 0:
            close(self.number)


_open: OrderedDict[int, _Descriptor] = OrderedDict()  # of the files by their ids, the one last read at the end
_lock = Lock()
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def _opened(file: RandomAccessFile) -> _Descriptor:
    with _lock:
        descriptor = _open.get(id(file)) or _Descriptor(file.path)
        _open[id(file)] = descriptor
        _open.move_to_end(id(file))
        while len(_open) > MAX_OPEN:
            _open.popitem(last=False)
    return descriptor
