"""Where a worker is, told to its parent without a message: a few bytes of memory that both map."""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from typing import NamedTuple

NOTHING = -1

_VERSION, _RANGE, _ROW, _NUM_DONE, _SINCE_NS = range(5)  # each eight bytes, which are written at once
_NUM_LOOKS = 1000  # at a place that is just being changed; a process that was killed then leaves it so


class Place(NamedTuple):
    """The range that a worker is in, the row that it converts (or NOTHING), since when (seconds of the monotonic
    clock, which all processes of a machine share), and how many rows of the range are done."""

    range: int
    row: int
    num_done: int
    since: float


class Watch:
    """The worker's side writes, the parent's reads: never half of one place and half of another.

    The version is odd for as long as the other numbers are being changed (a sequence lock).
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, mmap.PAGESIZE)
        self._numbers = memoryview(self._memory).cast("q")
        self._version = 0

    def begin_range(self, number: int) -> None:
        self._put(number, NOTHING, 0)

    def begin_row(self, number: int) -> None:
        self._put(self._numbers[_RANGE], number, self._numbers[_NUM_DONE])

    def end_row(self) -> None:
        self._put(self._numbers[_RANGE], NOTHING, self._numbers[_NUM_DONE] + 1)

    def read(self) -> Place:
        numbers = self._numbers
        for _ in range(_NUM_LOOKS):
            version = numbers[_VERSION]
            place = Place(numbers[_RANGE], numbers[_ROW], numbers[_NUM_DONE], numbers[_SINCE_NS] / 1e9)
            if numbers[_VERSION] == version and version % 2 == 0:
                break
        return place

    def close(self) -> None:
        self._numbers.release()
        self._memory.close()

    def _put(self, range_: int, row: int, num_done: int) -> None:
        numbers = self._numbers
        self._version += 1
        numbers[_VERSION] = self._version
        numbers[_RANGE], numbers[_ROW], numbers[_NUM_DONE] = range_, row, num_done
        numbers[_SINCE_NS] = time.monotonic_ns()
        self._version += 1
        numbers[_VERSION] = self._version


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
