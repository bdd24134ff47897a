"""Small pictures for the page: a thumbnail of every image, and a larger one where the page has to carry it."""

from __future__ import annotations

import math
from base64 import b64encode
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from phidata.media.headers import read_header
from phidata.media.images import decode_rgb, scale_down
from phidata.media.pillow import UNDECODABLE, open_image, strict_pillow
from phidata.media.pixels import to_rgb

THUMB_SIDES = (144, 112, 88, 64)
LARGE_SIDES = (800, 640, 448, 320, 240)
THUMBS_BYTES = 96 << 20  # what all thumbnails of a page may have together, about
LARGE_BYTES = 64 << 20
QUALITY = 62


class Sides(NamedTuple):
    """The longest sides of a page's pictures in pixels; `large` is 0 where it carries none."""

    thumb: int
    large: int


class Pictures(NamedTuple):
    """One image as the page holds it: width, height, and JPEG files in base 64 (`large` empty when not wanted)."""

    width: int
    height: int
    thumb: str
    large: str


def choose_sides(num_images: int, *, embed: bool) -> Sides:
    """The largest pictures with which a page of that many images stays within its budget."""
    thumb = _largest(THUMB_SIDES, num_images, THUMBS_BYTES) or THUMB_SIDES[-1]
    return Sides(thumb=thumb, large=_largest(LARGE_SIDES, num_images, LARGE_BYTES) if embed else 0)


def make_pictures(content: bytes, sides: Sides) -> Pictures:
    """Scale one image down. Raises DataError, which names no path, when it can not be decoded."""
    largest = max(sides)
    image = _decode(content, largest)
    width, height, _ = read_header(content)
    large = _encode(scale_down(image, sides.large)) if sides.large else ""
    return Pictures(width, height, _encode(_shrink(image, sides.thumb)), large)


def _largest(sides: tuple[int, ...], num_images: int, budget: int) -> int:
    return next((side for side in sides if num_images * _about_bytes(side) <= budget), 0)


def _about_bytes(side: int) -> float:
    """Of a photograph at this quality; measured."""
    return 600 + 0.12 * side * side


def _decode(content: bytes, side: int) -> Image.Image:
    """The image in RGB; a JPEG at the smallest scale at which it is decoded faster and still twice as large."""
    try:
        with strict_pillow():
            image = open_image(BytesIO(content))
            scale = 2 * side / max(image.size)
            image.draft("RGB", (math.ceil(image.width * scale), math.ceil(image.height * scale)))
            return to_rgb(image)
    except (*UNDECODABLE, Image.DecompressionBombError):
        return decode_rgb(content)  # which says what is wrong


def _shrink(image: Image.Image, side: int) -> Image.Image:
    """Down to a thumbnail, in two steps: the first takes whole blocks of pixels and is cheap."""
    scale = min(side / max(image.size), 1.0)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _encode(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return b64encode(buffer.getvalue()).decode("ascii")
