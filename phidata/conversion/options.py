"""The options that decide how frames are taken and images written."""

from __future__ import annotations

from typing import Any

import msgspec

from phidata.errors import UsageError
from phidata.media.images import FORMATS
from phidata.media.video import DECODERS, FramePlan

DEFAULT_FRAMES = 8
EXIF = ("apply", "keep")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How frames are taken and images written.

    Of a video `num_frames` frames at equal distances are taken, or `fps` frames a second, or all `keyframes`; one of
    the three. `quality` is for jpg only. `max_side` is the longest side of an image in pixels; None keeps every size.
    `keep_bytes` copies JPEG, PNG and WebP files that decode instead of encoding them again. `exif` turns images upright
    ("apply") or leaves them as they are stored ("keep"). Raises UsageError for a value that is out of range.
    """

    num_frames: int | None = None
    fps: float | None = None
    keyframes: bool = False
    decoder: str = "pyav"
    image_format: str = "jpg"
    quality: int = 75
    max_side: int | None = None
    keep_bytes: bool = False
    exif: str = "apply"

    def __post_init__(self) -> None:
        if (self.num_frames is not None) + (self.fps is not None) + self.keyframes > 1:
            raise UsageError("choose one of --num-frames, --fps and --keyframes")
        if self.num_frames is not None and self.num_frames < 1:
            raise UsageError(f"num_frames is {self.num_frames}; take at least 1 frame of a video")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UsageError(f"fps is {self.fps:g}; it is frames a second, above 0 and at most 1000")
        if self.decoder not in DECODERS:
            raise UsageError(f"no decoder {self.decoder!r}; there are {', '.join(DECODERS)}")
        if self.image_format not in FORMATS:
            raise UsageError(f"no image format {self.image_format!r}; there are {', '.join(FORMATS)}")
        if not 1 <= self.quality <= 95:
            raise UsageError(f"quality is {self.quality}; JPEG quality is from 1 to 95")
        if self.max_side is not None and self.max_side < 1:
            raise UsageError(f"max_side is {self.max_side}; it is a number of pixels")
        if self.exif not in EXIF:
            raise UsageError(f"exif is {self.exif!r}; there are {', '.join(EXIF)}")

    @property
    def frame_plan(self) -> FramePlan:
        """Which frames of a video are taken."""
        if self.fps is not None or self.keyframes:
            return FramePlan(fps=self.fps, keyframes=self.keyframes)
        return FramePlan(num_frames=self.num_frames or DEFAULT_FRAMES)

    @property
    def encoding(self) -> dict[str, Any]:
        """How an image is written: the keyword arguments of `phidata.media.images.reencode`."""
        return {
            "image_format": self.image_format,
            "quality": self.quality,
            "max_side": self.max_side,
            "keep_bytes": self.keep_bytes,
            "exif": self.exif,
        }
