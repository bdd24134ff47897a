"""Small pictures that would keep a decoder busy for minutes: refused by counting, so that every machine refuses the
same ones."""

from __future__ import annotations

import os
import re
from typing import Any, BinaryIO, cast

MAX_SCANS = 500  # of a JPEG, each a pass through all of it: an ordinary one has up to 12; libjpeg's fuzzers stop here
MAX_COMMENTS = 1000  # of a PBM, PGM or PPM in plain text: Pillow moves all that follows for each of them
MAX_FRAMES = 5_000  # that are decoded to see whether they can be
MAX_READS = 1_000_000  # of one file, about a second: Pillow reads some headers byte by byte
SMALL_BYTES = 1 << 20  # a file that is not larger can not be read more often than that

_SCAN = b"\xff\xda"
_JPEG = b"\xff\xd8\xff"
_PLAIN = (b"P1", b"P2", b"P3")
_FILLING = re.compile(rb"\xff*")
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)  # ITU-T T.81, table B.1
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_START_OF_SCAN = 0xDA


class TooLaboriousError(ValueError):
    """Decoding this would take longer than any picture is worth; the message says what there is too much of."""


def check_effort(content: bytes) -> None:
    """Raise TooLaboriousError for a JPEG of too many scans, and for a plain PBM, PGM or PPM of too many comments."""
    if content[:3] == _JPEG:
        if _may_have_scans(content) and (scans := content.count(_SCAN)) > MAX_SCANS:
            raise TooLaboriousError(f"it has {scans:,} scans, and a JPEG is decoded up to {MAX_SCANS}")
    elif content[:2] in _PLAIN and (comments := content.count(b"#")) > MAX_COMMENTS:
        raise TooLaboriousError(f"it has {comments:,} comments, and a PPM is decoded up to {MAX_COMMENTS:,}")


def metered(file: BinaryIO) -> BinaryIO:
    """The file; a large one raises TooLaboriousError when it is read more than MAX_READS times."""
    num_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    return file if num_bytes <= SMALL_BYTES else cast("BinaryIO", _Metered(file))


class _Metered:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._num_reads = 0

    def read(self, size: int = -1, /) -> bytes:
        self._num_reads += 1
        if self._num_reads > MAX_READS:
            raise TooLaboriousError(f"it takes more than {MAX_READS:,} reads")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _may_have_scans(content: bytes) -> bool:
    """Whether a JPEG may have more than one scan: it is progressive, or its first scan lacks components.

    So it may when its header can not be followed.
    """
    position, num_components = 2, 0
    while content[position : position + 1] == b"\xff":
        filled = _FILLING.match(content, position)
        assert filled is not None
        position = filled.end()  # of the marker that follows one or more 0xff
        if position + 9 > len(content):
            break
        marker = content[position]
        if marker in _PROGRESSIVE:
            return True
        if marker in _FRAMES:
            num_components = content[position + 8]
        elif marker == _START_OF_SCAN:
            return content[position + 3] < num_components
        position += 1 + int.from_bytes(content[position + 1 : position + 3], "big")
    return True
