"""Which images a run has found sound: a fixed amount of memory, which all its processes can share."""

from __future__ import annotations

from hashlib import blake2b
from typing import Protocol

NUM_SLOTS = 1 << 21  # of 8 bytes; memory is taken as slots are used


class Slots(Protocol):
    """Whole numbers of 64 bits, zero at first: a memoryview, or an array in shared memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...

    def __setitem__(self, index: int, value: int, /) -> None: ...


class SoundImages:
    """A table of hashes in which a newer image may push out an older one, which then is only checked again.

    Two images are mistaken for each other with a chance of 2⁻⁶⁴.
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
    """A table for one process."""
    return memoryview(bytearray(8 * NUM_SLOTS)).cast("Q")


def _key(path: str) -> int:
    digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8, usedforsecurity=False).digest()
    return int.from_bytes(digest, "little") or 1  # 0 is an empty slot
