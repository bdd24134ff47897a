"""Pieces of a file, read wherever they lie."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


class RandomAccessFile:
    """A file that is opened when it is first read. Safe to share between threads and to send to other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    def read(self, offset: int, num_bytes: int) -> bytes:
        """What stands there; less of it where the file ends before."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        return os.pread(self._descriptor, num_bytes, offset)

    def __reduce__(self) -> tuple[type[RandomAccessFile], tuple[Path]]:
        return RandomAccessFile, (self.path,)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # the module may be gone when this is called
        if getattr(self, "_descriptor", -1) >= 0:
            close(self._descriptor)
