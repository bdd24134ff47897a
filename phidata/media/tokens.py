"""How many positions an image takes in the Phi-3-vision models, by its size alone.

The model shows an image as crops of 336 x 336 pixels: one view of the whole, and a grid of local ones. Four merged
patches are one position, so a crop is 12 x 12 of them; each line of positions ends with one more, and one stands
between the local crops and the view of the whole. (The published `processing_phi3_v.py` and
`image_embedding_phi3_v.py` of microsoft/Phi-3-vision-128k-instruct.)
"""

from __future__ import annotations

import math

from phidata.errors import DataError

CROP = 336
MERGED = 12


def num_image_tokens(width: int, height: int, num_crops: int = 16) -> int:
    """How many positions an image of `width` x `height` pixels takes with at most `num_crops` local crops.

    Raises DataError for an image so thin that nothing of its short side remains when it is scaled: the model's
    processor fails on it too.
    """
    long, short = max(width, height), min(width, height)
    columns, rows = _grid(long, short, num_crops)
    if width < height:
        columns, rows = rows, columns
    return (rows * columns + 1) * MERGED**2 + 1 + (rows + 1) * MERGED


def _grid(long: int, short: int, num_crops: int) -> tuple[int, int]:
    """How many crops lie along the long and the short side: the long one is scaled to 336 s pixels, the largest s from
    1 upwards with s * ceil(s / ratio) <= num_crops."""
    ratio = long / short
    scale = 1
    while (scale + 1) * math.ceil((scale + 1) / ratio) <= num_crops:
        scale += 1
    short_pixels = int(scale * CROP / ratio)
    if short_pixels == 0:
        raise DataError(
            f"an image of {long} x {short} pixels (or turned by a quarter) is too thin: scaled to {scale * CROP} "
            f"pixels nothing of its short side remains; crop it or raise num_crops (now {num_crops})"
        )
    return scale, math.ceil(short_pixels / CROP)
