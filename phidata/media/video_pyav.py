"""Frames by PyAV: packet by packet, on one thread, so that the pixels are the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import av
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from PIL import Image

from phidata.media.streams import decodable_stream, new_timeline, open_container, packet_timeline, packets
from phidata.media.timeline import FramePlan, frame_indices
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
        rgb = _reformatter.reformat(self._frame, format="rgb24", threads=1)  # more threads cost more than they save
        plane = rgb.planes[0]
        image = Image.new("RGB", (rgb.width, rgb.height), None)  # not filled with black first
        image.frombytes(bytes(plane), "raw", "RGB", plane.line_size, 1)
        turn = _UPRIGHT.get(self._frame.rotation)
        return image if turn is None else image.transpose(turn)


class PyavVideo:
    """The first video stream of a file. Raises VideoError when it has none that PyAV can decode."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container = open_container(path)
        try:
            self._stream = decodable_stream(self._container)
        except VideoError:
            self._container.close()
            raise
        self.timeline = new_timeline(self._stream)

    def __enter__(self) -> PyavVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._container.close()

    def guess(self, plan: FramePlan) -> list[int]:
        """The frames that a plan will take, if the header or the packets are right about what decoding yields."""
        if plan.num_frames is not None and self._stream.frames:
            return frame_indices(self._stream.frames, plan.num_frames)
        return packet_timeline(self._path).indices(plan)

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
                self.timeline.add(frame.pts, ticks=frame.duration, key=frame.key_frame)
                num_keys_out += frame.key_frame
                if frame.is_corrupt:
                    sound_from = max(sound_from, num_keys_out + 1)
                yield PyavFrame(frame, damaged=num_keys_out < sound_from)
