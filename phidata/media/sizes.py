"""The size that a picture has once it is decoded, from its header alone."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

from phidata.media.pillow import EXIF_ORIENTATION, UNDECODABLE, open_image, strict_pillow


def image_size(source: str | bytes) -> tuple[int, int] | None:
    """(width, height) of an image file, given as its path or its content; None for what can not be opened as one."""
    try:
        file: BinaryIO = BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: PTH123, SIM115
    except (OSError, ValueError):
        return None
    with file, strict_pillow():
        try:
            return _decoded_size(open_image(file))
        except (*UNDECODABLE, Image.DecompressionBombError):
            return None


def _decoded_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    if isinstance(image, TiffImageFile) and image.tag_v2.get(EXIF_ORIENTATION, 1) in range(5, 9):
        stored = image.tag_v2.get(IMAGEWIDTH), image.tag_v2.get(IMAGELENGTH)
        if stored == image.size:  # decoding turns it, which older releases of Pillow do not tell beforehand
            return height, width
    return width, height
