"""Frames of a video by a plan, by either decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from PIL.Image import Image

from phidata.errors import UsageError
from phidata.media.timeline import FramePlan, Timeline, frame_indices
from phidata.media.whole import VideoError, check_whole, is_marked_encrypted

__all__ = [
    "DECODERS",
    "Frame",
    "FrameFacts",
    "FramePlan",
    "Sample",
    "Video",
    "VideoError",
    "frame_indices",
    "sample_frames",
    "sample_video",
]

DECODERS = ("pyav", "decord")

Kept = TypeVar("Kept")


class Frame(Protocol):
    """One decoded frame. `damaged`: it, or a frame that it was predicted from, could not be decoded whole."""

    @property
    def damaged(self) -> bool: ...

    def image(self) -> Image: ...


class Video(Protocol):
    """One pass over the frames that decoding a video yields, in display order.

    `timeline` is complete when the pass is. `guess` is what the container promises: containers lie in both directions.
    """

    @property
    def timeline(self) -> Timeline: ...

    def guess(self, plan: FramePlan) -> Sequence[int]: ...

    def frames(self) -> Iterator[Frame]: ...


@dataclass(frozen=True, kw_only=True)
class FrameFacts:
    """What was taken from a video: frames by their indices among all that decode, and how long these are shown.

    `seconds` is None when nothing in the file tells.
    """

    num_decoded: int
    seconds: float | None
    indices: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Sample(Generic[Kept]):
    """The frames of a video that a plan takes, and the facts about them."""

    frames: list[Kept]
    facts: FrameFacts


def sample_frames(path: Path, plan: FramePlan | int, *, decoder: str, keep: Callable[[Image], Kept]) -> list[Kept]:
    """The frames of `sample_video` alone; a plan that is a number is `num_frames`."""
    plan = FramePlan(num_frames=plan) if isinstance(plan, int) else plan
    return sample_video(path, plan, decoder=decoder, keep=keep).frames


def sample_video(path: Path, plan: FramePlan, *, decoder: str, keep: Callable[[Image], Kept]) -> Sample[Kept]:
    """Take the frames of a plan, each passed through `keep` as soon as it is decoded.

    A stream is decoded to its end, because only that tells how many frames there are: when the container promised
    others, a second pass takes the right ones. What is not needed is left undecoded only where that is proven to give
    the same frames (`phidata.media.skipping`).

    Raises VideoError, which names no path, when the file is cut short or encrypted, when it yields no frame, when one
    that is wanted is damaged, or when the plan needs times that the file does not have.
    """
    check_whole(path)
    open_video = _decoder(decoder)
    if decoder == "pyav":
        from phidata.media.skipping import sample_skipping

        if skipped := sample_skipping(path, plan, keep):
            timeline, kept = skipped
            return _sample(timeline, timeline.indices(plan), kept)
    with open_video(path) as video:
        damaged, kept = _pick(video, set(video.guess(plan)), keep)
        timeline = video.timeline
    if not timeline:
        raise VideoError(_why_no_frames(path))
    indices = timeline.indices(plan)
    if not kept.keys() >= set(indices):
        with open_video(path) as video:
            damaged, kept = _pick(video, set(indices), keep)
    if bad := sorted(damaged.intersection(indices)):
        raise VideoError(f"frame {bad[0]} of its {len(timeline)} is damaged")
    return _sample(timeline, indices, kept)


def _pick(video: Video, wanted: Set[int], keep: Callable[[Image], Kept]) -> tuple[set[int], dict[int, Kept]]:
    """Decode to the end: which of the wanted frames are damaged, and each by its index."""
    kept: dict[int, Kept] = {}
    damaged: set[int] = set()
    for index, frame in enumerate(video.frames()):
        if index in wanted:
            kept[index] = keep(frame.image())
            if frame.damaged:
                damaged.add(index)
    return damaged, kept


def _sample(timeline: Timeline, indices: list[int], kept: dict[int, Kept]) -> Sample[Kept]:
    facts = FrameFacts(num_decoded=len(timeline), seconds=timeline.seconds, indices=tuple(indices))
    return Sample(frames=[kept[index] for index in indices], facts=facts)


def _why_no_frames(path: Path) -> str:
    from phidata.media.streams import packet_timeline

    if is_marked_encrypted(path):
        return "it is encrypted"
    return "none of its frames can be decoded" if packet_timeline(path) else "it has no frames, only a header"


def _decoder(name: str) -> Callable[[Path], AbstractContextManager[Video]]:
    if name == "pyav":
        from phidata.media.video_pyav import PyavVideo

        return PyavVideo
    if name == "decord":
        from phidata.media.video_decord import DecordVideo

        return DecordVideo
    raise UsageError(f"no decoder {name!r}; there are {', '.join(DECODERS)}")
