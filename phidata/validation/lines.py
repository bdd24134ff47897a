"""A file as ranges of whole lines, each of which can be read and checked apart from the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 1 << 24
TOO_LONG = "the line is longer than 16 MiB"
_PROBE_BYTES = (1 << 12, 1 << 16)  # a line mostly ends near


@dataclass(frozen=True, kw_only=True)
class LineRange:
    """The bytes of one file from the start of a line to the end of a line."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Some lines with their newlines, as they stand in a file, without the mark that it may begin with."""

    data: bytes
    byte_order_mark: bool = False

    @property
    def ended(self) -> bool:
        """Whether the last line has a newline."""
        return self.data.endswith(b"\n")

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines without their newlines."""
        lines = self.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines

    def line(self, index: int) -> bytes:
        """One of the lines."""
        return self.lines[index]


def line_ranges(path: str, range_bytes: int) -> Iterator[LineRange]:
    """Cut a file into ranges of about `range_bytes`; each line lies in exactly one."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        whole = LineRange(path=path, start=0, end=os.fstat(file.fileno()).st_size)
        for start, end in _cuts(file, whole, range_bytes):
            yield LineRange(path=path, start=start, end=end)


def read_blocks(part: LineRange, block_bytes: int) -> Iterator[Lines]:
    """Read a range as blocks of whole lines, of about `block_bytes` each."""
    with open(part.path, "rb") as file:  # noqa: PTH123
        for start, end in _cuts(file, part, block_bytes):
            yield _read(file, start, end, block_bytes)


def read_lines(part: LineRange, range_bytes: int) -> Lines:
    """Read a range that `line_ranges` made with the same `range_bytes`."""
    with open(part.path, "rb") as file:  # noqa: PTH123
        return _read(file, part.start, part.end, range_bytes)


def without_marks(line: bytes) -> bytes:
    """A line without the byte order marks that it begins with: files that were put together have several."""
    while line.startswith(BYTE_ORDER_MARK):
        line = line.removeprefix(BYTE_ORDER_MARK)
    return line


def _cuts(file: BinaryIO, part: LineRange, num_bytes: int) -> Iterator[tuple[int, int]]:
    """Where the pieces of a range begin and end; only the last line of a piece can reach beyond `num_bytes`."""
    start = part.start
    while start < part.end:
        is_last = start + num_bytes >= part.end
        end = part.end if is_last else _line_end(file, start + num_bytes - 1, part.end)
        yield start, end
        start = end


def _read(file: BinaryIO, start: int, end: int, num_bytes: int) -> Lines:
    """Of a line longer than MAX_LINE_BYTES only so much is read that it still is longer: memory stays bounded whatever
    the file is."""
    file.seek(start)
    data = file.read(min(end - start, num_bytes + MAX_LINE_BYTES + 1))
    marked = start == 0 and data.startswith(BYTE_ORDER_MARK)
    return Lines(data=data.removeprefix(BYTE_ORDER_MARK) if marked else data, byte_order_mark=marked)


def _line_end(file: BinaryIO, position: int, end: int) -> int:
    """Where the line ends that holds the byte at `position`."""
    file.seek(position)
    block = file.read(_PROBE_BYTES[0])
    while block:
        newline = block.find(b"\n")
        if newline >= 0:
            return position + newline + 1
        position += len(block)
        block = file.read(_PROBE_BYTES[1])
    return end
