"""Where a video file ends by its own account, for the containers whose parts say how long they are.

Each function is given the open file and the number of its bytes, and returns how many it should have; 0 where the file
makes no sense, or is a kind of stream that may end anywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import BinaryIO

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675  # RFC 8794; RFC 9559, section 5
_GIF_EXTENSION, _GIF_IMAGE, _GIF_TRAILER = 0x21, 0x2C, 0x3B
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_PACK, _PROGRAM_END = 0xBA, 0xB9
_TS_PACKET, _SYNC = 188, 0x47  # ISO/IEC 13818-1, section 2.4.3.2


def declared_end(file: BinaryIO, num_bytes: int) -> int:
    """How many bytes a Matroska, WebM, GIF, FLV, ASF, Ogg, MPEG transport or program stream should have; 0: unknown."""
    file.seek(0)
    end = _end_of(file.read(2 * _TS_PACKET + 1))
    return 0 if end is None else end(file, num_bytes)


def _end_of(head: bytes) -> Callable[[BinaryIO, int], int] | None:
    signatures: dict[bytes, Callable[[BinaryIO, int], int]] = {
        b"\x1aE\xdf\xa3": _end_of_ebml,
        b"GIF8": _end_of_gif,
        b"FLV\x01": _end_of_flv,
        _ASF_HEADER: _end_of_asf,
        b"OggS": _end_of_ogg,
        b"\0\0\x01\xba": _end_of_program_stream,
    }
    for signature, end in signatures.items():
        if head.startswith(signature):
            return end
    is_transport = len(head) > 2 * _TS_PACKET and all(head[at] == _SYNC for at in (0, _TS_PACKET, 2 * _TS_PACKET))
    return _end_of_transport_stream if is_transport else None


def _end_of_transport_stream(file: BinaryIO, num_bytes: int) -> int:  # noqa: ARG001 - the others need the file
    return num_bytes + -num_bytes % _TS_PACKET


def _end_of_ebml(file: BinaryIO, num_bytes: int) -> int:
    """Segments and clusters of a live recording have no size: their elements follow one another all the same."""
    position = 0
    while position < num_bytes:
        file.seek(position)
        head = file.read(12)
        identity, id_bytes = _vint(head, keeps_marker=True)
        size, size_bytes = _vint(head[id_bytes:], keeps_marker=False)
        if not id_bytes or not size_bytes:
            return 0 if len(head) == 12 else num_bytes + 1
        position += id_bytes + size_bytes
        if size == (1 << 7 * size_bytes) - 1:
            if identity not in (_SEGMENT, _CLUSTER):
                return 0
        else:
            position += size
    return position


def _vint(data: bytes, *, keeps_marker: bool) -> tuple[int, int]:
    """A number of variable length (RFC 8794, section 4) and how many bytes it takes; 0 bytes when it is none."""
    num_bytes = 9 - data[0].bit_length() if data else 9
    if num_bytes > 8 or len(data) < num_bytes:
        return 0, 0
    value = int.from_bytes(data[:num_bytes], "big")
    return value if keeps_marker else value - (1 << 7 * num_bytes), num_bytes


def _end_of_gif(file: BinaryIO, num_bytes: int) -> int:
    """GIF89a, sections 18 to 27: blocks of sub-blocks up to 255 bytes long, and a trailer."""
    file.seek(10)
    position = 13 + _color_table(file.read(1))
    while position < num_bytes:
        file.seek(position)
        block = file.read(10)
        if block[0] == _GIF_TRAILER:
            return position + 1
        if block[0] == _GIF_EXTENSION:
            position = _end_of_sub_blocks(file, position + 2)
        elif block[0] == _GIF_IMAGE:
            position = _end_of_sub_blocks(file, position + 11 + _color_table(block[9:]))
        else:
            return 0
    return max(position, num_bytes + 1)


def _color_table(flags: bytes) -> int:
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _end_of_sub_blocks(file: BinaryIO, position: int) -> int:
    file.seek(position)
    while size := file.read(1):
        position += 1 + size[0]
        if not size[0]:
            return position
        file.seek(position)
    return position + 1


def _end_of_flv(file: BinaryIO, num_bytes: int) -> int:
    """Tags, each followed by the size of it (Adobe, Video File Format Specification 10, annex E)."""
    file.seek(5)
    position = int.from_bytes(file.read(4), "big") + 4
    while position < num_bytes:
        file.seek(position + 1)
        position += 11 + int.from_bytes(file.read(3), "big") + 4
    return position


def _end_of_asf(file: BinaryIO, num_bytes: int) -> int:
    """Objects, each with its size (Microsoft, Advanced Systems Format Specification, section 2)."""
    position = 0
    while position < num_bytes:
        file.seek(position + 16)
        size = int.from_bytes(file.read(8), "little")
        if size < 24:
            return 0 if position + 24 <= num_bytes else position + 24
        position += size
    return position


def _end_of_ogg(file: BinaryIO, num_bytes: int) -> int:
    """Pages, each with the lengths of its segments (RFC 3533, section 6)."""
    position = 0
    while position < num_bytes:
        file.seek(position)
        page = file.read(27)
        if page[:4] != b"OggS"[: len(page)]:
            return 0
        if len(page) < 27:
            return position + 27
        position += 27 + page[26] + sum(file.read(page[26]))
    return position


def _end_of_program_stream(file: BinaryIO, num_bytes: int) -> int:
    """Packs and packets, each with its length (ISO/IEC 11172-1, section 2.4.3; 13818-1, section 2.5.3)."""
    position = 0
    while position < num_bytes:
        file.seek(position)
        head = file.read(14)
        if head[:3] != b"\0\0\x01"[: len(head)]:
            return 0
        if len(head) < 6:
            return num_bytes + 1 if head[3:] != bytes([_PROGRAM_END]) else position + 4
        if head[3] == _PACK:
            position += 12 if head[4] >> 4 == 2 else 14 + (head[13:] or b"\0")[0] % 8
        elif head[3] == _PROGRAM_END:
            return position + 4
        else:
            position += 6 + struct.unpack(">H", head[4:6])[0]
    return position
