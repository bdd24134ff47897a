"""A hash of what a picture looks like: pictures that look alike have hashes that differ in few bits.

The DCT hash: the picture in grey at 32 × 32 pixels, its cosine transform, the 8 × 8 lowest frequencies, one bit for
each that says whether it is above their median (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash
Functions, 2010, section 3.2.1). Computed in integers, so that the same bytes give the same hash everywhere.
"""

from __future__ import annotations

import math
from functools import lru_cache
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from phidata.media.pillow import open_image
from phidata.media.pixels import to_rgb

SIDE = 32
FREQUENCIES = 8
STRUCTURE = 64  # what half of the frequencies have to exceed; rounding grey to whole levels alone makes about 5 of it

_ONE = 4096  # what stands for 1 in the cosines
_DRAFT_SIDE = 64  # JPEG decoders scale down for free, as long as twice the pixels that are needed remain


def perceptual_hash(image: Image.Image) -> int | None:
    """The 64 bits of a picture; None for one with too little structure, such as an empty page, a gradient, a flag.

    Most frequencies of those are nothing but rounding, or nothing, and would make them all look alike. To be called
    within `strict_pillow`. Raises what Pillow raises for a picture that can not be decoded. Alpha is dropped and EXIF
    orientation ignored, as everywhere in phidata.
    """
    if image.format in ("JPEG", "MPO"):
        image.draft("L", (_DRAFT_SIDE, _DRAFT_SIDE))
    grey = image if image.mode == "L" else to_rgb(image).convert("L")
    pixels = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS), dtype=np.int64)
    cosines = _cosines()
    spectrum = (cosines @ pixels @ cosines.T).ravel()
    shape = spectrum[1:]  # the first is the mean grey
    if np.sort(np.abs(shape))[shape.size // 2] < STRUCTURE * _ONE**2:
        return None
    median = np.sort(shape)[shape.size // 2]
    return int.from_bytes(np.packbits(spectrum > median).tobytes(), "big")


def hash_of_bytes(data: bytes) -> int | None:
    """`perceptual_hash` of an encoded picture."""
    return perceptual_hash(open_image(BytesIO(data)))


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.int64]:
    """The lowest rows of the DCT-II matrix, (FREQUENCIES, SIDE), in units of 1 / _ONE."""
    return np.array(
        [
            [round(_ONE * math.cos(math.pi / SIDE * (place + 0.5) * frequency)) for place in range(SIDE)]
            for frequency in range(FREQUENCIES)
        ],
        dtype=np.int64,
    )
