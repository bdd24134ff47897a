"""Frames of a video at equal distances, by either decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from PIL.Image import Image

from phidata.errors import UsageError
from phidata.media.whole import VideoError, check_whole

__all__ = ["DECODERS", "Frame", "Video", "VideoError", "frame_indices", "sample_frames"]

DECODERS = ("pyav", "decord")

Kept = TypeVar("Kept")


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


def sample_frames(path: Path, num_frames: int, *, decoder: str, keep: Callable[[Image], Kept]) -> list[Kept]:
    """Pick `num_frames` frames at the indices of `frame_indices`, each passed through `keep` as soon as it is decoded.

    The stream is decoded to its end, because only that tells how many frames there are: when the container promised
    another number, a second pass picks the right ones. Raises VideoError when the file is cut short, when it yields no
    frame, or when one that is wanted is damaged.
    """
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
