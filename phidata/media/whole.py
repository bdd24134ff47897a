"""Whether a video file holds all the bytes that its own container declares."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from phidata.errors import DataError

_UNKNOWN_SIZE = 0xFFFFFFFF  # written by recorders that could not go back to fill the size in
_BOX_KINDS = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof"})


class VideoError(DataError):
    """Why no frames can be taken from a video; it names no path, its reader knows which one it is."""


def check_whole(path: Path) -> None:
    """Raise VideoError for an empty file, and for an AVI, MP4 or MOV that ends before its container says.

    Decoders read a file that was cut in half without complaint, and would make half a clip look like a whole one.
    """
    num_bytes = path.stat().st_size
    if num_bytes == 0:
        raise VideoError("the file is empty")
    with path.open("rb") as file:
        declared = _declared_bytes(file, num_bytes)
    if declared > num_bytes:
        raise VideoError(f"the file is cut short: it has {num_bytes} bytes and declares {declared}")


def _declared_bytes(file: BinaryIO, num_bytes: int) -> int:
    """Where the container ends by its own account; 0 for a container that is not understood here."""
    head = file.read(8)
    if head[:4] == b"RIFF" and len(head) == 8:
        size = int(struct.unpack("<I", head[4:])[0])
        return 0 if size == _UNKNOWN_SIZE else size + 8
    if head[4:] in _BOX_KINDS:
        return _end_of_boxes(file, num_bytes)
    return 0


def _end_of_boxes(file: BinaryIO, num_bytes: int) -> int:
    """The end of the last top-level box (ISO/IEC 14496-12, section 4.2): a size of 0 reaches to the end of the file."""
    position = 0
    while position + 8 <= num_bytes:
        file.seek(position)
        head = file.read(16)
        size = int(struct.unpack(">I", head[:4])[0])
        if size == 1 and len(head) == 16:
            size = int(struct.unpack(">Q", head[8:])[0])
        if size < 8:
            return 0
        position += size
    return position
