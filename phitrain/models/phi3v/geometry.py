"""Sizes of images on their way into the model: plain arithmetic, no library needed."""

from __future__ import annotations

import math

from phidata.errors import DataError

CROP = 336
MERGED = 12


def image_tokens(height: int, width: int) -> int:
    """How many positions an image takes whose padded size is (height, width), both multiples of 336.

    Local crops are 12 x 12 rows each with a separator at the end of each of the 12 h lines, then one
    separator, then the global view with its 12 line ends.
    """
    rows, columns = height // CROP, width // CROP
    return (rows * columns + 1) * MERGED * MERGED + 1 + (rows + 1) * MERGED


def num_image_tokens(width: int, height: int, num_crops: int) -> int:
    """How many positions an image of this size takes with at most `num_crops` local crops."""
    return image_tokens(*padded_size(width, height, num_crops))


def padded_size(width: int, height: int, num_crops: int) -> tuple[int, int]:
    """(height, width) of an image after scaling and padding to whole crops."""
    if width < height:
        padded_height, padded_width = padded_size(height, width, num_crops)
        return padded_width, padded_height
    _, scaled_height = scaled_size(width, height, num_crops)
    return math.ceil(scaled_height / CROP) * CROP, scaled_size(width, height, num_crops)[0]


def scaled_size(width: int, height: int, num_crops: int) -> tuple[int, int]:
    """(width, height) to which an image with width >= height is scaled: 336 s wide, the largest s from 1
    upwards with s * ceil(s / ratio) <= num_crops. Raises DataError where nothing of the height remains.
    """
    ratio = width / height
    scale = 1
    while (scale + 1) * math.ceil((scale + 1) / ratio) <= num_crops:
        scale += 1
    scaled_width = scale * CROP
    scaled_height = int(scaled_width / ratio)
    if scaled_height == 0:
        raise DataError(
            f"an image of {width} x {height} pixels (or turned by a quarter) is too thin: scaled to {scaled_width} "
            f"pixels nothing of its short side remains; crop it or raise num_crops (now {num_crops})"
        )
    return scaled_width, scaled_height
