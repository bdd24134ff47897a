"""Frames by PyAV: packet by packet, on one thread, so that the pixels are the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from PIL import Image

from phidata.media.streams import open_container, packets, video_streams
from phidata.media.whole import VideoError

_UPRIGHT = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    -180: Image.Transpose.ROTATE_180,
    -90: Image.Transpose.ROTATE_270,
}
_reformatter = VideoReformatter()  # keeps its colour conversion from frame to frame


class PyavFrame:
    """A decoded frame that becomes RGB only when it is wanted."""

    __slots__ = ("_frame", "damaged")

    def __init__(self, frame: av.VideoFrame, *, damaged: bool) -> None:
        self._frame = frame
        self.damaged = damaged

    def image(self) -> Image.Image:
        """The frame as RGB, turned upright as the container says a player has to show it."""
        rgb = _reformatter.reformat(self._frame, format="rgb24")
        plane = rgb.planes[0]
        image = Image.frombytes("RGB", (rgb.width, rgb.height), bytes(plane), "raw", "RGB", plane.line_size, 1)
        turn = _UPRIGHT.get(self._frame.rotation)
        return image if turn is None else image.transpose(turn)


class PyavVideo:
    """The first video stream of a file. Raises VideoError when it has none that PyAV can decode."""

    def __init__(self, path: Path) -> None:
        self._container = open_container(path)
        try:
            self._stream = video_streams(self._container)[0]
            if self._stream.codec_context is None:
                raise VideoError("its codec is not known to PyAV")
        except VideoError:
            self._container.close()
            raise
        self._stream.thread_type = "NONE"
        self._stream.codec_context.thread_count = 1
        self.expected = self._stream.frames or _num_packets(path)

    def __enter__(self) -> PyavVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._container.close()

    def frames(self) -> Iterator[PyavFrame]:
        """Decode to the end as a player does: what can not be decoded is left out, the frames after it are damaged.

        A decoder does not mark the frames that it predicts from a broken one, so damage is taken to last until a key
        frame that was coded after it comes out.
        """
        num_keys_in = num_keys_out = 0
        sound_from = 0  # a frame is sound when this many key frames are out
        for packet in packets(self._container, self._stream):
            try:
                frames = packet.decode()
                num_keys_in += packet.is_keyframe
            except FFmpegError:
                frames = []
                sound_from = num_keys_in + 1
            if packet.is_corrupt:
                sound_from = num_keys_in + 1
            for frame in frames:
                num_keys_out += frame.key_frame
                if frame.is_corrupt:
                    sound_from = max(sound_from, num_keys_out + 1)
                yield PyavFrame(frame, damaged=num_keys_out < sound_from)


def _num_packets(path: Path) -> int:
    """How many packets a stream has: mostly one a frame. Some containers (mkv, webm) do not count their frames."""
    with open_container(path) as container:
        return sum(
            packet.size > 0 and not packet.is_discard for packet in packets(container, video_streams(container)[0])
        )
