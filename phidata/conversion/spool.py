"""Objects of this process on disk, in the order in which they were put, so that there may be any number of them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

BLOCK = 256  # objects that are written and read together

T = TypeVar("T")


class Spool(Generic[T]):
    """A file that this process alone writes, from nothing, and reads: nobody else's pickles are ever loaded."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._block: list[T] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")

    def put(self, item: T) -> None:
        self._block.append(item)
        if len(self._block) == BLOCK:
            self._write()

    def __iter__(self) -> Iterator[T]:
        """All that was put, from the beginning."""
        self._write()
        with self._path.open("rb") as file:
            while head := file.read(8):
                yield from pickle.loads(file.read(int.from_bytes(head, "little")))

    def remove(self) -> None:
        """Give its room back."""
        self._path.unlink()

    def _write(self) -> None:
        if self._block:
            data = pickle.dumps(self._block, pickle.HIGHEST_PROTOCOL)
            with self._path.open("ab") as file:
                file.write(len(data).to_bytes(8, "little") + data)
            self._block = []
