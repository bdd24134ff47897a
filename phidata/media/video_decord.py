"""Frames by decord: read one after the other, because its random access returns wrong frames of some files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import decord
from PIL import Image

from phidata.media.streams import open_container, packet_timeline, packets, video_streams
from phidata.media.timeline import FramePlan, Timeline, frame_indices
from phidata.media.whole import VideoError

decord.logging.set_level(decord.logging.QUIET)


class DecordFrame:
    """A decoded frame, which decord has turned upright. decord does not tell whether it is damaged."""

    __slots__ = ("_frame",)

    damaged = False

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def image(self) -> Image.Image:
        """The frame as RGB."""
        pixels = self._frame.asnumpy()
        if pixels.ndim != 3 or pixels.shape[2] != 3:
            raise VideoError(f"decord returns a frame of shape {pixels.shape}; use --decoder pyav")
        return Image.fromarray(pixels)


class DecordVideo:
    """The video stream of a file. Raises VideoError when decord does not open it or would misread it."""

    def __init__(self, path: Path) -> None:
        _refuse_what_decord_misreads(path)
        self._path = path
        try:
            self._reader = decord.VideoReader(str(path), num_threads=1)
        except (decord.DECORDError, RuntimeError) as error:
            raise VideoError(f"decord can not open it ({_reason(error)})") from error
        self.timeline = Timeline(None, None)

    def __enter__(self) -> DecordVideo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del self._reader

    def guess(self, plan: FramePlan) -> list[int]:
        """The frames that a plan will take, if decord is right about what decoding yields."""
        if plan.num_frames is not None:
            return frame_indices(len(self._reader), plan.num_frames)
        return packet_timeline(self._path).indices(plan)

    def frames(self) -> Iterator[DecordFrame]:
        """Decode to the end. Raises VideoError when there is anything that decord can not decode.

        decord knows of no frame when it is shown: the packets say that, when there are as many as there are frames.
        """
        decoded = Timeline(None, None)
        for frame in self._decoded():
            decoded.add(None, ticks=None, key=False)
            yield DecordFrame(frame)
        promised = packet_timeline(self._path)
        self.timeline = promised if len(promised) == len(decoded) else decoded

    def _decoded(self) -> Iterator[Any]:
        while True:
            try:
                frame = self._reader.next()
            except StopIteration:
                return
            except decord.DECORDError as error:
                raise VideoError(f"decord can not decode all of it ({_reason(error)})") from error
            yield frame


def _refuse_what_decord_misreads(path: Path) -> None:
    """decord plays what an edit list cuts away, and of several video streams it may take another than the first."""
    with open_container(path) as container:
        streams = video_streams(container)
        if len(streams) > 1:
            raise VideoError("decord does not say which of its video streams it reads; use --decoder pyav")
        if any(packet.is_discard for packet in packets(container, streams[0])):
            raise VideoError("decord ignores its edit list; use --decoder pyav")


def _reason(error: Exception) -> str:
    """What decord's message says, without time stamp, place in its source code and raw numbers."""
    return str(error).strip().splitlines()[-1].rpartition("] ")[2].rpartition(") ")[2]
