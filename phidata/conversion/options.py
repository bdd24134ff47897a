"""The options that decide what is written. Everything else changes only how fast or how often."""

from __future__ import annotations

import msgspec

from phidata.errors import UsageError
from phidata.media.images import FORMATS
from phidata.media.video import DECODERS


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How frames are taken and images written.

    `quality` is for jpg only. `max_side` is the longest side of an image in pixels; None keeps every size. Raises
    UsageError for a value that is out of range.
    """

    num_frames: int = 8
    decoder: str = "pyav"
    image_format: str = "jpg"
    quality: int = 75
    max_side: int | None = None

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise UsageError(f"num_frames is {self.num_frames}; take at least 1 frame of a video")
        if self.decoder not in DECODERS:
            raise UsageError(f"no decoder {self.decoder!r}; there are {', '.join(DECODERS)}")
        if self.image_format not in FORMATS:
            raise UsageError(f"no image format {self.image_format!r}; there are {', '.join(FORMATS)}")
        if not 1 <= self.quality <= 95:
            raise UsageError(f"quality is {self.quality}; JPEG quality is from 1 to 95")
        if self.max_side is not None and self.max_side < 1:
            raise UsageError(f"max_side is {self.max_side}; it is a number of pixels")
