"""Pillow with its safe settings, whatever the program around has set, and one way to open a picture."""

from __future__ import annotations

import logging
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageFile

from phidata.media.effort import check_effort, metered

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
LARGE_PIXELS = 89_478_485  # Pillow's MAX_IMAGE_PIXELS: above it Pillow warns, above its double Pillow refuses
EXIF_ORIENTATION = 0x0112

# What Pillow's readers raise for bytes that make no sense: its own fuzzers (Tests/oss-fuzz) expect most of them, and
# Image.open swallows others while it looks for the format.
UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    AssertionError,
    struct.error,
    zlib.error,
)

_SILENT = logging.NullHandler()  # Pillow logs some of what it raises; without a handler that lands on standard error


@contextmanager
def strict_pillow() -> Iterator[list[warnings.WarningMessage]]:
    """Damage is an error and a bomb is refused inside; yields the list of the warnings that Pillow gives meanwhile.

    The settings are the process's own, so threads that are inside at the same time share them and their list.
    """
    _strict.enter()
    try:
        yield _strict.caught
    finally:
        _strict.leave()


def open_image(file: BinaryIO, *, more_formats: tuple[str, ...] = (), decodes: bool = True) -> Image.Image:
    """Read the header of a picture in one of FORMATS, or of `more_formats`, as far as this Pillow has them.

    Raises TooLaboriousError for a header that goes on and on; where the caller `decodes` it, also for a picture that
    would take minutes.
    """
    Image.init()
    if decodes:
        check_effort(file.getvalue() if isinstance(file, BytesIO) else file.read())
    return Image.open(metered(file), formats=[name for name in FORMATS + more_formats if name in Image.OPEN])


def orientation(image: Image.Image) -> int:
    """How a picture is stored turned or mirrored, 1 to 8, as far as that has been read (a PNG may have it at its end).

    TIFF pictures are turned upright by decoding them, and forget that they were not.
    """
    if image.format in ("JPEG", "MPO") and "exif" not in image.info and "xmp" not in image.info:
        return 1
    value = Image.Image.getexif(image).get(EXIF_ORIENTATION, 1)  # PNG's own method would decode the pixels
    return int(value) if value in range(2, 9) else 1  # it may be stored as a fraction


def claimed_pixels(error: Image.DecompressionBombError) -> int | None:
    """How many pixels a picture that was refused as a bomb says that it has."""
    claimed = re.search(r"[0-9]+", str(error))
    return int(claimed[0]) if claimed else None


class _Strict:
    """The settings while anybody is inside: the first one in sets them, the last one out restores what was there."""

    def __init__(self) -> None:
        self.caught: list[warnings.WarningMessage] = []
        self._lock = threading.Lock()
        self._num_inside = 0

    def enter(self) -> None:
        with self._lock:
            self._num_inside += 1
            if self._num_inside > 1:
                return
            logging.getLogger("PIL").addHandler(_SILENT)
            self._settings = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
            ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, LARGE_PIXELS
            self._catcher = warnings.catch_warnings(record=True)
            self.caught = self._catcher.__enter__()
            warnings.simplefilter("always")

    def leave(self) -> None:
        with self._lock:
            self._num_inside -= 1
            if self._num_inside:
                return
            self._catcher.__exit__(None, None, None)
            ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = self._settings


_strict = _Strict()
