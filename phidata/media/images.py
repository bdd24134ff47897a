"""Images: opened as RGB, scaled down, encoded."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

from PIL import Image

from phidata.errors import DataError

FORMATS = ("jpg", "png")

# What Pillow's readers raise for bytes that make no sense: its own fuzzers (Tests/oss-fuzz) expect most of them, and
# Image.open swallows others while it looks for the format.
UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)


def open_rgb(path: Path) -> Image.Image:
    """Decode all of an image file and return it in mode RGB; of an animated image the first frame.

    Alpha is dropped and EXIF orientation ignored, as by `Image.open(path).convert("RGB")`. Raises DataError naming the
    path when the file is missing, is no image, is cut short or is larger than Pillow's limit.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such image; restore the file or drop its row") from error
    except (*UNDECODABLE, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: this image can not be decoded ({error}); replace it or drop its row") from error


def scale_down(image: Image.Image, max_side: int | None) -> Image.Image:
    """Return the image with its longer side at most `max_side` pixels, in its own proportions; never larger than it is.

    Resampled with Lanczos' filter, which looks at every source pixel.
    """
    longer = max(image.size)
    if max_side is None or longer <= max_side:
        return image
    width, height = (max(1, round(side * max_side / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def encode(image: Image.Image, image_format: str, *, quality: int) -> bytes:
    """Encode an RGB image as "jpg" (baseline, 4:2:0, at `quality`) or "png" (`quality` does not matter)."""
    buffer = BytesIO()
    if image_format == "png":
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()
