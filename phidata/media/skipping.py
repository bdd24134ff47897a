"""The frames of a plan without decoding the others, where that gives the same frames.

Proven for MPEG-4 part 2 in which every packet is one intra or predicted picture (the codec of UCF-101's clips): what
the decoder yields for a packet is then one frame, in the same order, so that packets count frames; and a key frame
refers to nothing before it, so that decoding may begin at the last one before a wanted frame. The decoder still reads
the header of every packet that is left out, and its first pictures are never left out, because it learns from them how
strictly pictures end in their packets. Whatever is unusual, and all damage, is left to decoding everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

from av import Packet, VideoStream
from av.error import FFmpegError
from PIL.Image import Image

from phidata.media.mpeg4 import Headers
from phidata.media.streams import decodable_stream, new_timeline, open_container, packets
from phidata.media.timeline import FramePlan, Timeline
from phidata.media.video_pyav import PyavFrame

MAX_HELD_BYTES = 64 << 20  # the packets of a file that is not larger are read once
NUM_LEARNED = 18  # FFmpeg's score of padding: a sound picture counts 1 for being strict, a broken one up to 16 against

Kept = TypeVar("Kept")
VideoPacket: TypeAlias = "Packet[VideoStream]"


def sample_skipping(
    path: Path, plan: FramePlan, keep: Callable[[Image], Kept]
) -> tuple[Timeline, dict[int, Kept]] | None:
    """The timeline of a video and the frames that a plan takes, by index; None when everything has to be decoded."""
    is_small = path.stat().st_size <= MAX_HELD_BYTES
    held: list[VideoPacket] = []
    with _opened(path) as (stream, found):
        if stream.codec_context.name != "mpeg4":
            return None
        timeline = _proven_timeline(stream, _held(found, held) if is_small else found)
        if timeline is None:
            return None
        wanted = set(timeline.indices(plan))
        if is_small:
            kept = _decode(stream, held, timeline.keys, wanted, keep)
    if not is_small:
        with _opened(path) as (stream, found):
            kept = _decode(stream, found, timeline.keys, wanted, keep)
    return None if kept is None else (timeline, kept)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[VideoStream, Iterator[VideoPacket]]]:
    with open_container(path) as container:
        stream = decodable_stream(container)
        stream.codec_context.options = {"err_detect": "buffer"}  # until it has learned, strict about damage at least
        yield stream, packets(container, stream)


def _held(found: Iterable[VideoPacket], held: list[VideoPacket]) -> Iterator[VideoPacket]:
    for packet in found:
        held.append(packet)
        yield packet


def _proven_timeline(stream: VideoStream, found: Iterable[VideoPacket]) -> Timeline | None:
    """The timeline that decoding everything would find, from the packets alone; None when they do not prove it."""
    headers = Headers(bytes(stream.codec_context.extradata or b""))
    timeline = new_timeline(stream)
    for packet in found:
        if packet.dts is None and not packet.size:
            break
        kind = headers.picture_kind(bytes(packet))
        if kind is None or packet.is_keyframe != (kind == "I") or packet.pts is None:
            return None
        if packet.is_corrupt or packet.is_discard:
            return None
        timeline.add(packet.pts, ticks=packet.duration, key=packet.is_keyframe)
    return timeline if timeline.keys[:1] == [True] else None


def _decode(
    stream: VideoStream,
    found: Iterable[VideoPacket],
    keys: list[bool],
    wanted: Set[int],
    keep: Callable[[Image], Kept],
) -> dict[int, Kept] | None:
    """Decode the wanted frames and those that they are predicted from; None at the first sign of damage."""
    needed = _needed(keys, wanted)
    numbers, to_come = set(needed), iter(needed)
    kept: dict[int, Kept] = {}
    skips = False
    for number, packet in enumerate(found):
        if skips != (number < len(keys) and number not in numbers):
            skips = not skips
            stream.codec_context.skip_frame = "ALL" if skips else "DEFAULT"
        try:
            frames = packet.decode()
        except FFmpegError:
            return None
        for frame in frames:
            index = next(to_come, None)
            if index is None or frame.is_corrupt or frame.key_frame != keys[index]:
                return None
            if index in wanted:
                kept[index] = keep(PyavFrame(frame, damaged=False).image())
    return kept if next(to_come, None) is None else None


def _needed(keys: list[bool], wanted: Set[int]) -> list[int]:
    """The first frames, the wanted ones, and for each of those all from its key frame on; ascending."""
    needed = list(range(min(NUM_LEARNED, len(keys))))
    for index in sorted(wanted):
        first = index
        while not keys[first]:
            first -= 1
        needed.extend(range(max(first, needed[-1] + 1), index + 1))
    return needed
