"""Whether a video file holds all the bytes that its own container declares."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from phidata.errors import DataError
from phidata.media.ending import declared_end

_UNKNOWN_SIZE = 0xFFFFFFFF  # written by recorders that could not go back to fill the size in
_HEAD_BYTES = 8
_BOX_KINDS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof"})


class VideoError(DataError):
    """Why no frames can be taken from a video; it names no path, its reader knows which one it is."""


def check_whole(path: Path) -> None:
    """Raise VideoError for an empty file, and for one that ends before its container says.

    Decoders read a file that was cut in half without complaint, and would make half a clip look like a whole one.
    """
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        raise VideoError("the file is empty")
    with path.open("rb") as file:
        declared = _declared_bytes(file, num_bytes)
    if declared > num_bytes:
        raise VideoError(f"the file is cut short: it has {num_bytes} bytes and declares {declared}")


def is_marked_encrypted(path: Path) -> bool:
    """Whether an MP4 declares a video track of encrypted samples (ISO/IEC 14496-12, section 8.12)."""
    with path.open("rb") as file:
        return b"encv" in _box(file, b"moov", path.stat().st_size)


def _declared_bytes(file: BinaryIO, num_bytes: int) -> int:
    """Where the container ends by its own account; 0 for a container that is not understood here."""
    head = file.read(8)
    if head[:4] == b"RIFF" and len(head) == 8:
        size = int(struct.unpack("<I", head[4:])[0])
        return 0 if size == _UNKNOWN_SIZE else size + 8
    if head[4:] in _BOX_KINDS:
        return _end_of_boxes(file, num_bytes)
    return declared_end(file, num_bytes)


def _end_of_boxes(file: BinaryIO, num_bytes: int) -> int:
    """Where the last top-level box ends by its own account; 0 when that is the end of the file, or makes no sense."""
    end = 0
    for _, start, size in _boxes(file, num_bytes):
        if size < _HEAD_BYTES:
            return 0
        end = start + size
    return end


def _box(file: BinaryIO, kind: bytes, num_bytes: int) -> bytes:
    """The first top-level box of a kind, empty when there is none."""
    for found, start, size in _boxes(file, num_bytes):
        if found == kind:
            file.seek(start)
            return file.read(size)
    return b""


def _boxes(file: BinaryIO, num_bytes: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and size of the top-level boxes (ISO/IEC 14496-12, section 4.2) up to one without a sensible size."""
    start = 0
    while start + _HEAD_BYTES <= num_bytes:
        file.seek(start)
        head = file.read(16)
        size = int(struct.unpack(">I", head[:4])[0])
        if size == 1 and len(head) == 16:
            size = int(struct.unpack(">Q", head[8:])[0])
        yield head[4:8], start, size
        if size < _HEAD_BYTES:
            return
        start += size
