"""A file as ranges of whole lines, each of which can be read and checked apart from the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_LINE_BYTES = 1 << 24
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class LineRange:
    """The bytes of one file from the start of a line to the end of a line."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What a range holds: its lines with their newlines as one block, without the mark that it may begin with."""

    block: bytes
    byte_order_mark: bool = False

    @property
    def ended(self) -> bool:
        """Whether the last line has a newline."""
        return self.block.endswith(b"\n")

    def split(self) -> list[bytes]:
        """The lines without their newlines."""
        lines = self.block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines


def line_ranges(path: str, range_bytes: int) -> Iterator[LineRange]:
    """Cut a file into ranges of about `range_bytes`; each line lies in exactly one."""
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        size = os.fstat(file.fileno()).st_size
        start = 0
        while start < size:
            end = size if start + range_bytes >= size else _line_end(file, start + range_bytes - 1, size)
            yield LineRange(path=path, start=start, end=end)
            start = end


def read_lines(part: LineRange, range_bytes: int) -> Lines:
    """Read a range that `line_ranges` made with the same `range_bytes`.

    Only its last line can reach beyond `range_bytes`. Of one longer than MAX_LINE_BYTES only so much is read that it
    still is longer: memory stays bounded whatever the file is.
    """
    with open(part.path, "rb") as file:  # noqa: PTH123
        file.seek(part.start)
        data = file.read(min(part.end - part.start, range_bytes + MAX_LINE_BYTES + 1))
    marked = part.start == 0 and data.startswith(BYTE_ORDER_MARK)
    return Lines(block=data.removeprefix(BYTE_ORDER_MARK) if marked else data, byte_order_mark=marked)


def without_marks(line: bytes) -> bytes:
    """A line without the byte order marks that it begins with: files that were put together have several."""
    while line.startswith(BYTE_ORDER_MARK):
        line = line.removeprefix(BYTE_ORDER_MARK)
    return line


def _line_end(file: BinaryIO, position: int, size: int) -> int:
    """Where the line ends that holds the byte at `position`."""
    file.seek(position)
    while block := file.read(_BLOCK_BYTES):
        newline = block.find(b"\n")
        if newline >= 0:
            return position + newline + 1
        position += len(block)
    return size
