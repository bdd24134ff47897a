"""The video streams of a container file and their packets, opened with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from phidata.media.timeline import Timeline
from phidata.media.whole import VideoError


def open_container(path: Path) -> InputContainer:
    """Open a file for reading. Raises VideoError when it is no video container."""
    try:
        return av.open(path, metadata_errors="replace")  # titles are in any encoding
    except FFmpegError as error:
        raise VideoError(f"it can not be opened as a video ({error.strerror})") from error


def video_streams(container: InputContainer) -> list[av.VideoStream]:
    """List the video streams that are no cover pictures. Raises VideoError when there is none."""
    streams = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError("it has no video stream")
    return streams


def decodable_stream(container: InputContainer) -> av.VideoStream:
    """The first video stream, set to decode on one thread. Raises VideoError when there is no decoder for it."""
    stream = video_streams(container)[0]
    if stream.codec_context is None:
        raise VideoError("its codec is not known to PyAV")
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    return stream


def packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
    """Read the packets of one stream, and at last an empty one that flushes its decoder.

    Raises VideoError when the file can not be read to its end, and at the first packet that is encrypted.
    """
    can_encrypt = "mp4" in container.format.name
    try:
        for packet in container.demux(stream):
            if can_encrypt and packet.has_sidedata("encryption_info"):
                raise VideoError("it is encrypted")
            yield packet
    except FFmpegError as error:
        raise VideoError(f"it can not be read to its end ({error.strerror})") from error


def new_timeline(stream: av.VideoStream) -> Timeline:
    """An empty timeline in the stream's own units."""
    return Timeline(stream.time_base, stream.average_rate or stream.guessed_rate)


def packet_timeline(path: Path) -> Timeline:
    """What the packets say that decoding will yield: right for most files, and cheap. Some containers do not count."""
    with open_container(path) as container:
        stream = video_streams(container)[0]
        found = [
            (packet.pts, packet.duration, packet.is_keyframe)
            for packet in packets(container, stream)
            if packet.size and not packet.is_discard
        ]
        timeline = new_timeline(stream)
    if all(pts is not None for pts, _, _ in found):
        found.sort(key=lambda packet: packet[0] or 0)
    for pts, ticks, key in found:
        timeline.add(pts, ticks=ticks, key=key)
    return timeline
