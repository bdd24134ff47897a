"""Image files in whose header there is nothing to find, told by their first bytes without a decoder.

What is told sound here Pillow opens without a word: a JPEG or PNG with one frame, stored upright, of a size that is
sound, and with nothing in its header that has ever been read wrongly. All else is for Pillow to judge. A test holds the
two together on thousands of damaged headers.
"""

from __future__ import annotations

import os
from struct import Struct
from zlib import crc32

from phidata.media.pillow import LARGE_PIXELS
from phidata.media.sound_exif import EXIF, has_sound_camera_data

HEAD_BYTES = 1 << 15  # camera data with a preview is larger than the rest of a header

# JPEG (ITU-T T.81, table B.1)
_APP0, _APP1, _APP2, _APP14, _COMMENT = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
_HUFFMAN, _QUANTIZATION, _RESTART, _SCAN = 0xC4, 0xDB, 0xDD, 0xDA
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive
_UNREAD_APPS = frozenset(range(0xE3, 0xED))
_UNREAD = frozenset({_HUFFMAN, _RESTART, _COMMENT, _SCAN}) | _UNREAD_APPS  # nobody looks into them before decoding
_SEGMENT = Struct(">BBH").unpack_from
_FRAME = Struct(">BHHB").unpack_from

# PNG (third edition, section 11)
_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK = Struct(">I4s").unpack_from
_IHDR = Struct(">IIBBBBB").unpack_from
_CRC = Struct(">I").unpack_from
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 4: (8, 16), 6: (8, 16)}  # by colour type, palettes left out
_LENGTHS = {b"IHDR": 13, b"gAMA": 4, b"cHRM": 32, b"pHYs": 9, b"sRGB": 1}


def file_head(path: str) -> bytes:
    """The first HEAD_BYTES of a file. Raises OSError when they can not be read."""
    descriptor = os.open(path, os.O_RDONLY)  # `open` would take as long as all the rest
    try:
        return os.read(descriptor, HEAD_BYTES)
    finally:
        os.close(descriptor)


def has_sound_header(head: bytes) -> bool:
    """Whether this begins an image file of which the header has no defect; False where only Pillow can tell."""
    if head.startswith(b"\xff\xd8\xff"):
        return _is_sound_jpeg(head)
    return head.startswith(_PNG) and _is_sound_png(head)


def _is_sound_jpeg(head: bytes) -> bool:
    position, has_frame, has_exif = 2, False, False
    while position + 4 <= len(head):
        begin, marker, length = _SEGMENT(head, position)
        data, position = position + 4, position + 2 + length
        if begin != 0xFF or length < 2 or position > len(head):
            return False
        if marker in _FRAMES:
            if has_frame or not _is_sound_frame(head[data:position]):
                return False
            has_frame = True
        elif marker == _APP1:
            is_exif = head.startswith(EXIF, data)
            if (is_exif and has_exif) or not has_sound_camera_data(head[data:position]):
                return False
            has_exif |= is_exif
        elif marker not in _UNREAD and not _is_sound_segment(marker, head[data:position]):
            return False
        if marker == _SCAN:
            return has_frame
    return False


def _is_sound_frame(data: bytes) -> bool:
    if len(data) < 6:
        return False
    bits, height, width, num_components = _FRAME(data)
    is_complete = num_components in (1, 3) and len(data) == 6 + 3 * num_components
    return bits == 8 and is_complete and _is_sound_size(width, height)


def _is_sound_segment(marker: int, data: bytes) -> bool:
    if marker == _QUANTIZATION:
        return _are_quantization_tables(data)
    if marker == _APP0:
        return len(data) >= 14
    if marker == _APP2:
        return len(data) >= 14 and data.startswith(b"ICC_PROFILE\0")
    return marker == _APP14 and len(data) >= 12 and data.startswith(b"Adobe")


def _are_quantization_tables(data: bytes) -> bool:
    position = 0
    while position < len(data):
        position += 65 if data[position] < 16 else 129
    return position == len(data)


def _is_sound_png(head: bytes) -> bool:
    position = len(_PNG)
    while position + 12 <= len(head):
        length, kind = _CHUNK(head, position)
        if (kind == b"IHDR") != (position == len(_PNG)):
            return False
        if kind == b"IDAT":
            return True
        end = position + 8 + length
        if length != _LENGTHS.get(kind) or end + 4 > len(head) or _CRC(head, end) != (crc32(head[position + 4 : end]),):
            return False
        if kind == b"IHDR" and not _is_sound_ihdr(*_IHDR(head, position + 8)):
            return False
        position = end + 4
    return False


def _is_sound_ihdr(
    width: int, height: int, depth: int, colour: int, compression: int, filter_method: int, interlace: int
) -> bool:
    is_known = compression == filter_method == 0 and interlace in (0, 1)
    return is_known and depth in _DEPTHS.get(colour, ()) and _is_sound_size(width, height)


def _is_sound_size(width: int, height: int) -> bool:
    return 0 < width * height <= LARGE_PIXELS
