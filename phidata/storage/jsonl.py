"""Random access to the lines of a jsonl file: an index of offsets, never the rows themselves."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

CHUNK_BYTES = 1 << 24


class LineIndex:
    """The lines of one file by number, each read from disk when it is asked for.

    Memory: 8 bytes a line. Safe to share between threads and to send to other processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bounds = _line_bounds(path)
        self._descriptor = -1

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, number: int) -> bytes:
        """Line `number`, counted from 0, with its line end."""
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        start, end = int(self._bounds[number]), int(self._bounds[number + 1])
        return os.pread(self._descriptor, end - start, start)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_descriptor": -1}

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            os.close(self._descriptor)


def _line_bounds(path: Path) -> npt.NDArray[np.int64]:
    """Where each line starts, and where the last one ends: (num_lines + 1,) byte offsets."""
    parts: list[npt.NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
    position = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            ends = np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == ord("\n"))
            parts.append((ends + (position + 1)).astype(np.int64, copy=False))
            position += len(chunk)
    bounds = np.concatenate(parts)
    return bounds if bounds[-1] == position else np.append(bounds, position)
