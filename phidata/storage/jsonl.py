"""Random access to the rows of a jsonl file: an index of offsets, never the rows themselves."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.regular import read_regular
from phidata.storage.annotations import UNREADABLE
from phidata.storage.folder import image_file
from phidata.storage.offsets import KEPT_FROM, find_offsets, forget_offsets, scanned
from phidata.storage.random_access import RandomAccessFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CHUNK_BYTES = 1 << 20
READ_BYTES = 1 << 16  # of lines that follow each other, at once

_LINES = "lines"
_NEWLINE = ord("\n")

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
        if numbers.step != 1:
            yield from map(self.row, numbers)
            return
        while numbers:
            lines = self._lines.some(numbers)
            try:
                yield from map(_decode, lines)
            except UNREADABLE:
                for number in numbers[: len(lines)]:
                    self.row(number)  # raises at the one that is no conversation
                raise
            numbers = numbers[len(lines) :]

    def images(self, number: int, num_images: int) -> list[bytes]:
        return [self._read(path) for path in islice(self.row(number).images, num_images)]

    def missing_images(self, number: int) -> list[str]:
        return [path for path in self.row(number).images if not image_file(self.image_root, path).is_file()]

    def place(self, number: int) -> str:
        return f"{self.path}:{number + 1}"

    def _read(self, image: str) -> bytes:
        path = image_file(self.image_root, image)
        try:
            return read_regular(path)
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such image; restore the file or drop its row") from error
        except OSError as error:
            raise DataError(f"{path}: this image can not be read ({error.strerror}); make it readable") from error


class LineIndex:
    """The lines of one file by number, each read from disk when it is asked for.

    Memory: 8 bytes a line, of a large file next to none. Safe to share between threads and to send to other processes.
    Raises DataError when the file changes while it is open: what is read is looked at whether it is whole lines.
    """

    def __init__(self, path: Path, *, state: tuple[int, int] | None = None) -> None:
        self.path = path
        self._state = _state(path)
        if state not in (None, self._state):
            raise self._change()
        self._file = RandomAccessFile(path)
        offsets = find_offsets(path, _LINES, lambda: _line_bounds(path))
        self._bounds, self._is_kept = offsets.numbers, offsets.is_kept
        self._num_lines, self._num_bytes = len(self._bounds) - 1, self._state[0]

    def __len__(self) -> int:
        return self._num_lines

    def __getitem__(self, number: int) -> bytes:
        """Line `number`, counted from 0, with its line end."""
        return self._read(number, number + 1) or self._read_again(number, number + 1)

    def some(self, numbers: range) -> list[bytes]:
        """The first lines of a range, at least one and about READ_BYTES of them, without their line ends."""
        first, bounds = numbers.start, self._bounds
        last = bisect_right(bounds, bounds[first] + READ_BYTES, first + 1, numbers.stop) - 1
        last = max(first + 1, last)
        text = self._read(first, last) or self._read_again(first, last)
        return text.split(b"\n")[: last - first]

    def _read(self, first: int, last: int) -> bytes:
        """The lines `first` … `last` - 1; nothing when what stands there are no such lines."""
        start, end = self._bounds[first], self._bounds[last]
        lead = 1 if first else 0  # the end of the line before is read as well
        if not (lead <= start < end <= self._num_bytes and (first or not start)):
            return b""
        text = self._file.read(start - lead, end - start + lead)
        is_right = len(text) == end - start + lead and (not first or text[0] == _NEWLINE)
        num_ends = text.count(b"\n")
        if not text.endswith(b"\n"):
            is_right &= end == self._num_bytes  # only the last line may lack its end
            num_ends += 1
        return text[lead:] if is_right and num_ends == last - first + lead else b""

    def _read_again(self, first: int, last: int) -> bytes:
        """The same lines, by offsets that are found anew where those were kept ones."""
        if self._is_kept and _state(self.path) == self._state:
            forget_offsets(self.path, _LINES)
            bounds = scanned(lambda: _line_bounds(self.path))
            if len(bounds) == len(self._bounds):
                self._bounds, self._is_kept = bounds, False
        if text := self._read(first, last):
            return text
        raise self._change()

    def _change(self) -> DataError:
        return DataError(f"{self.path} has changed since it was opened; open it again")

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(LineIndex, state=self._state), (self.path,)


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _line_bounds(path: Path) -> Iterator[npt.NDArray[np.int64] | array[int]]:
    """Where each line starts, and where the last one ends: (num_lines + 1,) byte offsets."""
    if path.stat().st_size < KEPT_FROM:  # numpy need not be imported
        with path.open("rb") as file:
            yield array("q", accumulate(map(len, file), initial=0))
    else:
        yield from _many_line_bounds(path)


def _many_line_bounds(path: Path) -> Iterator[npt.NDArray[np.int64]]:
    import numpy as np

    position = end = 0
    yield np.zeros(1, dtype=np.int64)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            ends = np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == _NEWLINE)
            if ends.size:
                yield (ends + (position + 1)).astype(np.int64, copy=False)
                end = position + int(ends[-1]) + 1
            position += len(chunk)
    if position > end:
        yield np.array([position], dtype=np.int64)
