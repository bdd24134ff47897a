"""The pixels of any picture as 8-bit RGB, and the right way up."""

from __future__ import annotations

from PIL import Image, ImageChops

_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF 6.0
MAX_COMMENT_BYTES = 65533  # what a JPEG segment holds

# EXIF 2.32, tag 274 (Orientation): what makes a picture upright that is stored so.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode a picture and return it in mode RGB: alpha is dropped, 16-bit grey scaled to 8 bits.

    Raises ValueError for numbers that no picture has: 32-bit integers outside 0 … 255 and floats, whose black and white
    only their maker knows.
    """
    if image.mode.startswith("I;16"):
        return _of_sixteen_bits(image)
    if image.mode == "I":
        return _of_integers(image)
    if image.mode == "F":
        raise ValueError("its pixels are floats without a defined black and white; scale them to 8 bits")
    return _without_metadata(image.convert("RGB"))


def upright(image: Image.Image, turned: int) -> Image.Image:
    """Turn and mirror a picture that is stored in EXIF orientation `turned` as it has to be shown."""
    transpose = _UPRIGHT.get(turned)
    return image if transpose is None else image.transpose(transpose)


def _of_sixteen_bits(image: Image.Image) -> Image.Image:
    """A TIFF may say that only 12 of its bits are used, and that 0 is white; Pillow heeds neither."""
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])
    rgb = _scaled(image, (1 << bits) - 1)
    return ImageChops.invert(rgb) if tags.get(_PHOTOMETRIC, 1) == _WHITE_IS_ZERO else rgb


def _of_integers(image: Image.Image) -> Image.Image:
    if image.format == "PPM":  # Pillow scales what a PGM holds to 0 … 65535
        return _scaled(image, 65535)
    low, high = _extrema(image)
    if not 0 <= low <= high <= 255:
        raise ValueError(f"its pixels are numbers from {low} to {high} without a defined white; scale them to 8 bits")
    return _without_metadata(image.convert("RGB"))


def _without_metadata(image: Image.Image) -> Image.Image:
    """Only a comment stays, as in a plain save. A transparent colour in particular would go into a PNG."""
    comment = image.info.get("comment")
    image.info = {"comment": comment} if isinstance(comment, bytes) and len(comment) <= MAX_COMMENT_BYTES else {}
    return image


def _extrema(image: Image.Image) -> tuple[int, int]:
    low, high = image.getextrema()
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    return int(low), int(high)


def _scaled(image: Image.Image, white: int) -> Image.Image:
    """Grey of 0 … `white` as 8 bits, rounded to the nearest; Pillow would make all above 255 white."""
    import numpy as np

    grey = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((grey * 255 + white // 2) // white).astype(np.uint8)).convert("RGB")
