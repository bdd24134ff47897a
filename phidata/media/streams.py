"""The video streams of a container file and their packets, opened with PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition

from phidata.media.whole import VideoError


def open_container(path: Path) -> InputContainer:
    """Open a file for reading. Raises VideoError when it is no video container."""
    try:
        return av.open(path)
    except FFmpegError as error:
        raise VideoError(f"it can not be opened as a video ({error.strerror})") from error


def video_streams(container: InputContainer) -> list[av.VideoStream]:
    """List the video streams that are no cover pictures. Raises VideoError when there is none."""
    streams = [video for video in container.streams.video if not video.disposition & Disposition.attached_pic]
    if not streams:
        raise VideoError("it has no video stream")
    return streams


def packets(container: InputContainer, stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
    """Read the packets of one stream, and at last an empty one that flushes its decoder.

    Raises VideoError when the file can not be read to its end.
    """
    try:
        yield from container.demux(stream)
    except FFmpegError as error:
        raise VideoError(f"it can not be read to its end ({error.strerror})") from error
