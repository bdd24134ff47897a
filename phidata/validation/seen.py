"""Which images a run has found sound: a fixed amount of memory, which all its processes share."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO

NUM_BYTES = 1 << 24
_ALL_BITS = (1 << 64) - 1

Slots = memoryview  # whole numbers of 64 bits, zero at first


class SoundImages:
    """A table of hashes, one slot for each. An image may push out another, which then is only looked at again.

    Two images are mistaken for one another with a chance of 2⁻⁶⁴. Processes that share a table have the same
    PYTHONHASHSEED.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def __contains__(self, path: str) -> bool:
        key = _key(path)
        return self._slots[key % len(self._slots)] == key

    def add(self, path: str) -> None:
        key = _key(path)
        self._slots[key % len(self._slots)] = key


def local_slots() -> Slots:
    """A table for one process; its memory is taken as it is used."""
    return memoryview(bytearray(NUM_BYTES)).cast("Q")


@contextmanager
def slots_file() -> Iterator[BinaryIO]:
    """A temporary file that holds a table for several processes, written in full so that no later write can fail."""
    with TemporaryFile() as file:
        file.write(bytes(NUM_BYTES))
        file.flush()
        yield file


def shared_slots(descriptor: int) -> Slots:
    """The table in an open file; what one process adds the others see."""
    return memoryview(mmap.mmap(descriptor, NUM_BYTES)).cast("Q")


def _key(path: str) -> int:
    return hash(path) & _ALL_BITS or 1  # 0 is an empty slot
