"""Where a worker is, told to its parent without a message: a few bytes of memory that both map."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from typing import NamedTuple

_LAYOUT = struct.Struct("@qqqd")  # native, so that a number is never seen half written
NOTHING = -1


class Place(NamedTuple):
    """The range that a worker is in, the row that it converts (or NOTHING), since when (seconds of the monotonic
    clock, which all processes of a machine share), and how many rows of the range are done."""

    range: int
    row: int
    num_done: int
    since: float


class Watch:
    """The worker's side writes, the parent's reads."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)
        self._range, self._num_done = NOTHING, 0

    def begin_range(self, number: int) -> None:
        self._range, self._num_done = number, 0
        self._put(NOTHING)

    def begin_row(self, number: int) -> None:
        self._put(number)

    def end_row(self) -> None:
        self._num_done += 1
        self._put(NOTHING)

    def read(self) -> Place:
        return Place(*_LAYOUT.unpack_from(self._memory))

    def close(self) -> None:
        self._memory.close()

    def _put(self, row: int) -> None:
        _LAYOUT.pack_into(self._memory, 0, self._range, row, self._num_done, time.monotonic())


def new_watch_file() -> int:
    """The descriptor of memory for a watch, which belongs to no name.

    Where the system has it this is memory and no file: a full disk kills whoever writes to a file that is mapped.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("phidata-watch", os.MFD_CLOEXEC)
        os.truncate(descriptor, mmap.PAGESIZE)
    else:
        with tempfile.TemporaryFile(prefix="phidata-") as file:
            file.write(bytes(mmap.PAGESIZE))
            file.flush()
            descriptor = os.dup(file.fileno())
    Watch(descriptor).begin_range(NOTHING)
    return descriptor
