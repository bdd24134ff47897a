"""Random access to the rows of a jsonl file: an index of offsets, never the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.annotations import UNREADABLE
from phidata.storage.folder import image_file
from phidata.storage.random_access import RandomAccessFile

CHUNK_BYTES = 1 << 24

_decode = msgspec.json.Decoder(Conversation).decode


class JsonlRows:
    """The rows of one jsonl file, whose images are files below a folder."""

    def __init__(self, path: Path, image_root: Path) -> None:
        self.path = path
        self.files = (path,)
        self.image_root = image_root
        self._lines = LineIndex(path)

    def __len__(self) -> int:
        return len(self._lines)

    def row(self, number: int) -> Conversation:
        try:
            return _decode(self._lines[number])
        except UNREADABLE as error:
            raise DataError(
                f"{self.place(number)}: this line is not a conversation ({error}); "
                f"`phidata validate {self.path}` says what is wrong and where"
            ) from error

    def rows(self, numbers: range) -> Iterator[Conversation]:
        return map(self.row, numbers)

    def images(self, number: int, num_images: int) -> list[bytes]:
        return [self._read(path) for path in islice(self.row(number).images, num_images)]

    def missing_images(self, number: int) -> list[str]:
        return [path for path in self.row(number).images if not image_file(self.image_root, path).is_file()]

    def place(self, number: int) -> str:
        return f"{self.path}:{number + 1}"

    def _read(self, image: str) -> bytes:
        path = image_file(self.image_root, image)
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such image; restore the file or drop its row") from error
        except OSError as error:
            raise DataError(f"{path}: this image can not be read ({error.strerror}); make it readable") from error


class LineIndex:
    """The lines of one file by number, each read from disk when it is asked for.

    Memory: 8 bytes a line. Safe to share between threads and to send to other processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bounds = _line_bounds(path)
        self._file = RandomAccessFile(path)

    def __len__(self) -> int:
        return len(self._bounds) - 1

    def __getitem__(self, number: int) -> bytes:
        """Line `number`, counted from 0, with its line end."""
        start, end = int(self._bounds[number]), int(self._bounds[number + 1])
        return self._file.read(start, end - start)


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
