"""The size of an image from its first bytes, without a decoder where the format is plain."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple

from phidata.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

HEAD_BYTES = (4096, 1 << 18)  # the size stands near the start of nearly every file, else behind a preview and profile
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # JPEG's start-of-frame markers (ITU-T T.81, table B.1)
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_ORIENTATION = 0x100, 0x101, 0x112


class ImageHeader(NamedTuple):
    """Width and height in pixels once it is decoded, and the name of the format as Pillow has it."""

    width: int
    height: int
    format: str


def read_header(data: bytes) -> ImageHeader:
    """The header of a whole image file. Raises DataError, without a place, for what is none."""
    return plain_header(data) or _pillow_header(data)


def plain_header(head: bytes) -> ImageHeader | None:
    """The header, from the beginning of a JPEG, PNG or WebP file; None for all that needs more bytes or a decoder."""
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg(head)
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack_from(">II", head, 16)
        return _sized(width, height, "PNG")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) >= 30:
        return _webp(head)
    return None


def _jpeg(head: bytes) -> ImageHeader | None:
    position = 2
    while position + 9 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", head, position + 5)
            return _sized(width, height, "JPEG")
        if marker < 0xC0 or 0xD0 <= marker <= 0xDA or marker == 0xFF:  # pixels without a frame, or filling
            return None  # a decoder has to say
        position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    return None


def _webp(head: bytes) -> ImageHeader | None:
    """The three kinds of first chunk (RFC 9649, sections 2.5 to 2.7)."""
    kind = head[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif kind == b"VP8 ":
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", head, 26))
    else:
        return None
    return _sized(width, height, "WEBP")


def _sized(width: int, height: int, format: str) -> ImageHeader | None:
    return ImageHeader(width, height, format) if width and height else None


def _pillow_header(data: bytes) -> ImageHeader:
    from PIL import Image

    from phidata.media.pillow import UNDECODABLE, open_image, strict_pillow

    try:
        with strict_pillow(), open_image(BytesIO(data), decodes=False) as image:
            width, height = _tiff_size(image) if image.format == "TIFF" else image.size
            return ImageHeader(width, height, image.format or "?")
    except (*UNDECODABLE, Image.DecompressionBombError) as error:
        raise DataError(f"its header can not be read ({error})") from error


def _tiff_size(image: Image.Image) -> tuple[int, int]:
    """Pillow turns a TIFF while it decodes it; its releases differ in which of the two sizes they tell before."""
    tags = image.getexif()
    width, height = tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]
    return (height, width) if tags.get(_TIFF_ORIENTATION, 1) in range(5, 9) else (width, height)
