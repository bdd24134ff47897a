"""Small sound clips in every container, made by the libraries that read them, and what hostile hands make of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import av
import numpy as np

NUM_FRAMES = 24


class Kind(NamedTuple):
    """A container and a codec as ffmpeg calls them, and the frames a second that both can have."""

    container: str
    codec: str
    rate: int = 12
    pixels: str = "yuv420p"


KINDS: Mapping[str, Kind] = {
    "avi": Kind("avi", "mpeg4"),
    "mjpeg.avi": Kind("avi", "mjpeg", pixels="yuvj420p"),
    "mp4": Kind("mp4", "mpeg4"),
    "mov": Kind("mov", "mpeg4"),
    "3gp": Kind("3gp", "mpeg4"),
    "mkv": Kind("matroska", "mpeg4"),
    "webm": Kind("webm", "libvpx"),
    "flv": Kind("flv", "flv1"),
    "wmv": Kind("asf", "wmv2"),
    "mpg": Kind("mpeg", "mpeg1video", 25),
    "ts": Kind("mpegts", "mpeg2video", 25),
    "gif": Kind("gif", "gif", pixels="rgb8"),
}
DECORD_OPENS = tuple(name for name in KINDS if name != "gif")


class _Pipe(io.BytesIO):
    """What a live recording goes into: it can not go back to fill sizes in."""

    def seekable(self) -> bool:
        return False


@lru_cache
def clip(name: str, *, num_frames: int = NUM_FRAMES, live: bool = False) -> bytes:
    """A clip of 64×48 pixels in which lines move."""
    kind = KINDS[name]
    buffer = _Pipe() if live else io.BytesIO()
    seek: dict[str, Any] = {"options": {"live": "1"}} if live else {}
    with av.open(buffer, "w", format=kind.container, **seek) as container:
        stream: Any = container.add_stream(kind.codec, rate=kind.rate)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, kind.pixels, 6
        for number in range(num_frames):
            pixels = np.zeros((48, 64, 3), np.uint8)
            pixels[..., 0] = number * 10 % 256
            pixels[number % 48] = 255
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return buffer.getvalue()


def patched(name: str, mark: bytes, at: int, layout: str, *values: int) -> bytes:
    """A clip with other numbers `at` bytes behind a mark in its header."""
    data = clip(name)
    begin = data.index(mark) + at
    return data[:begin] + struct.pack(layout, *values) + data[begin + struct.calcsize(layout) :]


MOST = 2**32 - 1

BUILDERS: Mapping[str, Callable[[], bytes]] = {
    "empty.mp4": lambda: b"",
    "zeros.avi": lambda: bytes(10_000),
    "text.mp4": lambda: b"not a video\n" * 40,
    "page.webm": lambda: b"<!DOCTYPE html><script>alert(1)</script>",
    "is-an-avi.mp4": lambda: clip("avi"),
    "is-a-webm.avi": lambda: clip("webm"),
    "one-frame.mp4": lambda: clip("mp4", num_frames=1),
    "live.webm": lambda: clip("webm", live=True),
    "rate-of-none.avi": lambda: patched("avi", b"strh", 28, "<II", 0, 0),
    "rate-of-most.avi": lambda: patched("avi", b"strh", 28, "<II", 1, MOST),
    "most-frames.avi": lambda: patched("avi", b"strh", 40, "<I", MOST),
    "scale-of-none.mp4": lambda: patched("mp4", b"mdhd", 16, ">I", 0),
    "duration-of-most.mp4": lambda: patched("mp4", b"mdhd", 20, ">I", MOST),
    "frames-of-most.mp4": lambda: patched("mp4", b"stts", 8, ">III", 1, MOST, MOST),
    "sizes-of-most.mp4": lambda: patched("mp4", b"stsz", 12, ">I", MOST),
    "most-samples.mp4": lambda: patched("mp4", b"stsz", 8, ">II", 1, MOST),
    "huge.avi": lambda: patched("avi", b"strf", 12, "<ii", 2**31 - 1, 2**31 - 1),
    "large.avi": lambda: patched("avi", b"strf", 12, "<ii", 16_000, 11_000),
    "no-video.mp4": lambda: patched("mp4", b"hdlr", 12, ">I", int.from_bytes(b"soun", "big")),
    "streams.avi": lambda: _many_streams(2_000),
}


def _many_streams(num_streams: int) -> bytes:
    """An AVI whose header says thousands of times what its stream is."""
    data = clip("avi")
    begin = data.index(b"LIST", 12 + data[12:].index(b"avih"))
    end = begin + 8 + int(struct.unpack("<I", data[begin + 4 : begin + 8])[0])
    more = data[begin:end] * num_streams
    head = data[:end] + more + data[end:]
    sizes = {4: len(head) - 8, 16: int(struct.unpack("<I", data[16:20])[0]) + len(more)}
    for at, size in sizes.items():
        head = head[:at] + struct.pack("<I", size) + head[at + 4 :]
    return head
