"""Frames of a video at equal distances, by either decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec
from PIL.Image import Image

from phidata.errors import UsageError
from phidata.media.whole import VideoError, check_whole

__all__ = ["DECODERS", "Frame", "FramePlan", "Video", "VideoError", "frame_indices", "sample_frames"]

DECODERS = ("pyav", "decord")

Kept = TypeVar("Kept")


class FramePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which frames of a video are taken, by exactly one of three rules.

    `num_frames` at equal distances; `fps` of them a second, each the one that is shown at that time; or all
    `keyframes`. Raises UsageError when not exactly one is given, or one that is out of range.
    """

    num_frames: int | None = None
    fps: float | None = None
    keyframes: bool = False

    def __post_init__(self) -> None:
        if (self.num_frames is not None) + (self.fps is not None) + self.keyframes != 1:
            raise UsageError("a frame plan has exactly one of num_frames, fps and keyframes")
        if self.num_frames is not None and self.num_frames < 1:
            raise UsageError(f"num_frames is {self.num_frames}; take at least 1 frame of a video")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UsageError(f"fps is {self.fps:g}; it is frames a second, above 0 and at most 1000")


class Frame(Protocol):
    """One decoded frame. `damaged`: it, or a frame that it was predicted from, could not be decoded whole."""

    @property
    def damaged(self) -> bool: ...

    def image(self) -> Image: ...


class Video(Protocol):
    """One pass over the frames that decoding a video yields, in display order.

    `expected` is how many the container promises. It is a guess: containers lie in both directions.
    """

    expected: int

    def frames(self) -> Iterator[Frame]: ...


def frame_indices(num_decoded: int, num_frames: int) -> list[int]:
    """Return floor(k * num_decoded / num_frames) for k = 0 … num_frames - 1; a short video's frames repeat."""
    return [k * num_decoded // num_frames for k in range(num_frames)]


def sample_frames(path: Path, plan: FramePlan | int, *, decoder: str, keep: Callable[[Image], Kept]) -> list[Kept]:
    """Pick `num_frames` frames at the indices of `frame_indices`, each passed through `keep` as soon as it is decoded.

    The stream is decoded to its end, because only that tells how many frames there are: when the container promised
    another number, a second pass picks the right ones. Raises VideoError when the file is cut short, when it yields no
    frame, or when one that is wanted is damaged.
    """
    num_frames = plan if isinstance(plan, int) else plan.num_frames or 0
    check_whole(path)
    open_video = _decoder(decoder)
    with open_video(path) as video:
        expected = video.expected
        num_decoded, kept, damaged = _pick(video, set(frame_indices(expected, num_frames)), keep)
    if num_decoded == 0:
        raise VideoError("none of its frames can be decoded")
    indices = frame_indices(num_decoded, num_frames)
    if num_decoded != expected:
        with open_video(path) as video:
            _, kept, damaged = _pick(video, set(indices), keep)
    if damaged:
        raise VideoError(f"frame {damaged[0]} of its {num_decoded} is damaged")
    return [kept[index] for index in indices]


def _pick(video: Video, wanted: Set[int], keep: Callable[[Image], Kept]) -> tuple[int, dict[int, Kept], list[int]]:
    """Decode to the end: the number of frames, the wanted ones by index, and which of those are damaged."""
    kept: dict[int, Kept] = {}
    damaged: list[int] = []
    num_decoded = 0
    for index, frame in enumerate(video.frames()):
        num_decoded += 1
        if index in wanted:
            kept[index] = keep(frame.image())
            if frame.damaged:
                damaged.append(index)
    return num_decoded, kept, damaged


def _decoder(name: str) -> Callable[[Path], AbstractContextManager[Video]]:
    if name == "pyav":
        from phidata.media.video_pyav import PyavVideo

        return PyavVideo
    if name == "decord":
        from phidata.media.video_decord import DecordVideo

        return DecordVideo
    raise UsageError(f"no decoder {name!r}; there are {', '.join(DECODERS)}")
