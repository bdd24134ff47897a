"""Images: opened as RGB, scaled down, encoded, or kept as they are when every pixel decodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from PIL import Image, UnidentifiedImageError

from phidata.diagnostics.excerpt import printable
from phidata.errors import DataError
from phidata.media.pillow import (
    EXIF_ORIENTATION,
    LARGE_PIXELS,
    UNDECODABLE,
    claimed_pixels,
    open_image,
    orientation,
    strict_pillow,
)
from phidata.media.pixels import to_rgb, upright
from phidata.media.signature import HEAD_BYTES, is_heif, not_an_image
from phidata.regular import read_regular

__all__ = ["FORMATS", "Encoded", "decode_rgb", "encode", "open_rgb", "reencode", "scale_down"]

FORMATS = ("jpg", "png")

Suffix: TypeAlias = Literal["jpg", "png", "webp"]

_MORE_FORMATS = ("JPEG2000", "ICO", "HEIF")  # that may be turned into data, but not stand in it

_MAX_JPEG_SIDE = 65_500
_KEPT: dict[str | None, Suffix] = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp"}
_KEPT_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"})  # that every reader turns into the same RGB


class Encoded(NamedTuple):
    """An image file in memory; width and height are those of its pixels as they are stored."""

    data: bytes
    suffix: Suffix
    width: int
    height: int


def open_rgb(path: Path) -> Image.Image:
    """Decode all of an image file as `decode_rgb` does. Raises DataError naming the path, also when it is missing."""
    try:
        return decode_rgb(path)
    except DataError as error:
        raise DataError(f"{path}: {error}; replace it or drop its row") from error


def decode_rgb(source: bytes | Path) -> Image.Image:
    """Decode all of a JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or PPM picture and return it in mode RGB.

    Of an animated picture the first frame. Alpha is dropped and EXIF orientation ignored, as by
    `Image.open(path).convert("RGB")`; 16-bit grey is scaled to 8 bits, where Pillow would clip it to white. Raises
    DataError, which names no path, for what can not be decoded.
    """
    content = _read(source)
    with _refusals(content), strict_pillow():
        return to_rgb(open_image(BytesIO(content)))


def reencode(
    data: bytes | Path, *, image_format: str, quality: int, max_side: int | None, keep_bytes: bool, exif: str
) -> Encoded:
    """Make the image of a row out of a picture that somebody has.

    Decoded as by `decode_rgb` (also JPEG 2000, ICO, and HEIC where pillow-heif is installed), scaled down to
    `max_side`, encoded. With `exif` "apply" it is turned upright; with "keep" the pixels stay as they are stored, and
    an EXIF orientation stays beside them. With `keep_bytes` a JPEG, PNG or WebP file is returned untouched when all
    of its pixels decode and nothing has to be done to them.

    Raises DataError, which names no path, for what can not be decoded: damaged, cut short, no picture, a bomb, missing.
    """
    content = _read(data)
    with _refusals(content), strict_pillow():
        if keep_bytes and (kept := _kept(content, max_side=max_side, exif=exif)):
            return kept
        image = open_image(BytesIO(content), more_formats=_MORE_FORMATS)
        rgb = to_rgb(image)
        turned = orientation(image)
        if exif == "apply":
            rgb, turned = upright(rgb, turned), 1
        rgb = scale_down(rgb, max_side)
    suffix: Suffix = "png" if image_format == "png" else "jpg"
    if suffix == "jpg" and max(rgb.size) > _MAX_JPEG_SIDE:
        raise DataError(f"this image is {rgb.width}×{rgb.height}, more than a JPEG holds; scale it down or write PNG")
    return Encoded(encode(rgb, suffix, quality=quality, turned=turned), suffix, *rgb.size)


def scale_down(image: Image.Image, max_side: int | None) -> Image.Image:
    """Return the image with its longer side at most `max_side` pixels, in its own proportions; never larger than it is.

    Resampled with Lanczos' filter, which looks at every source pixel.
    """
    longer = max(image.size)
    if max_side is None or longer <= max_side:
        return image
    width, height = (max(1, round(side * max_side / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def encode(image: Image.Image, image_format: str, *, quality: int, turned: int = 1) -> bytes:
    """Encode an RGB image as "jpg" (baseline, 4:2:0, at `quality`) or "png" (`quality` does not matter).

    `turned` is written as EXIF orientation unless it is 1.
    """
    buffer = BytesIO()
    exif = _orientation_tag(turned) if turned != 1 else b""
    if image_format == "png":
        image.save(buffer, "PNG", exif=exif)
    else:
        image.save(buffer, "JPEG", quality=quality, subsampling="4:2:0", exif=exif)
    return buffer.getvalue()


def _read(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return read_regular(source)
    except FileNotFoundError as error:
        raise DataError("there is no such image") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"this image can not be read ({reason})") from error


def _kept(content: bytes, *, max_side: int | None, exif: str) -> Encoded | None:
    """The file as it is, when all its pixels decode and nothing has to be done to them; None when something has to."""
    image = open_image(BytesIO(content), more_formats=_MORE_FORMATS)
    suffix = _KEPT.get(image.format)
    size = image.size
    if suffix is None or image.mode not in _KEPT_MODES or (max_side or max(size)) < max(size):
        return None
    if getattr(image, "is_animated", False) and image.format != "MPO":  # that is a camera's preview beside
        return None
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (1, 1))  # all of the entropy-coded data is read, an eighth of the pixels computed
    image.load()
    return None if exif == "apply" and orientation(image) != 1 else Encoded(content, suffix, *size)


@contextmanager
def _refusals(content: bytes) -> Iterator[None]:
    """Say in one sentence why a picture is refused, whatever Pillow raises."""
    head = content[:HEAD_BYTES]
    try:
        if is_heif(head):
            _register_heif()
        yield
    except UnidentifiedImageError as error:
        raise DataError(f"this file {not_an_image(head)}") from error
    except Image.DecompressionBombError as error:
        claimed = claimed_pixels(error)
        size = "more pixels than can be right" if claimed is None else f"{claimed:,} pixels"
        raise DataError(f"this image claims {size}; the limit is {2 * LARGE_PIXELS:,}") from error
    except UNDECODABLE as error:
        reason = printable(str(error).strip()) or type(error).__name__
        raise DataError(f"this image can not be decoded ({reason})") from error


def _register_heif() -> None:
    try:
        heif = import_module("pillow_heif")
    except ImportError as error:
        raise DataError("this is a HEIC image: install pillow-heif, or convert it to JPEG") from error
    heif.register_heif_opener()


def _orientation_tag(turned: int) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = turned
    return exif.tobytes()
