"""When the frames of a video are shown, and which of them a frame plan takes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from itertools import count, pairwise, takewhile

import msgspec

from phidata.errors import UsageError
from phidata.media.whole import VideoError

MAX_TAKEN = 100_000  # frames of one video by the clock: broken times can say that a frame is shown for a million years


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


class Timeline:
    """The frames of a video in display order: their times as the container has them, and which are key frames.

    Times count from the first frame. When a frame has none, or they do not rise, frame k is shown at k / `rate`: AVI
    files have no times, and invent useless ones where frames are coded out of order.
    """

    def __init__(self, time_base: Fraction | None, rate: Fraction | None) -> None:
        self._time_base = time_base
        self._rate = rate
        self._pts: list[int | None] = []
        self._keys: list[bool] = []
        self._last_ticks = 0

    def __len__(self) -> int:
        return len(self._pts)

    def add(self, pts: int | None, *, ticks: int | None, key: bool) -> None:
        """The next frame: its time and how long it is shown, in units of the time base (None or 0 when unknown)."""
        self._pts.append(pts)
        self._keys.append(key)
        self._last_ticks = ticks or 0

    @property
    def keys(self) -> list[bool]:
        return self._keys

    @property
    def seconds(self) -> float | None:
        """From the first frame to the end of the last; None when nothing in the file tells."""
        try:
            starts, tick, end = self._clock()
        except VideoError:
            return None
        return float((end - starts[0]) * tick)

    def indices(self, plan: FramePlan) -> list[int]:
        """The frames that a plan takes, in order; a frame that is shown for long may be taken more than once.

        Raises VideoError when the plan needs times or key frames and nothing in the file tells them.
        """
        if not self._pts:
            return []
        if plan.num_frames is not None:
            return frame_indices(len(self), plan.num_frames)
        if plan.keyframes:
            return self._key_indices()
        assert plan.fps is not None
        return list(self._shown_at(1 / Fraction(str(plan.fps))))

    def _key_indices(self) -> list[int]:
        if not any(self._keys):
            raise VideoError("nothing in it says which frames are key frames; take them by num_frames")
        return [index for index, key in enumerate(self._keys) if key]

    def _shown_at(self, every: Fraction) -> Iterator[int]:
        starts, tick, end = self._clock()
        seconds = (end - starts[0]) * tick
        if seconds > MAX_TAKEN * every:
            raise VideoError(f"its times say that it lasts {float(seconds):,.0f} s: too long for {MAX_TAKEN:,} frames")
        for time in takewhile(lambda time: time < seconds, (k * every for k in count())):
            yield bisect_right(starts, starts[0] + time / tick) - 1

    def _clock(self) -> tuple[list[int], Fraction, int]:
        """When each frame begins, the seconds of one tick, and when the last frame ends."""
        times = [pts for pts in self._pts if pts is not None]
        if self._time_base and len(times) == len(self._pts) and all(a < b for a, b in pairwise(times)):
            last = self._last_ticks or self._ticks_of_a_frame(times)
            if last:
                return times, self._time_base, times[-1] + last
        if not self._rate:
            raise VideoError("nothing in it says when its frames are shown; take them by num_frames")
        return list(range(len(self._pts))), 1 / self._rate, len(self._pts)

    def _ticks_of_a_frame(self, times: list[int]) -> int:
        """How long the last frame is shown when it does not say: as long as the one before it, or as the rate says."""
        if len(times) > 1:
            return times[-1] - times[-2]
        return round(1 / self._rate / self._time_base) if self._rate and self._time_base else 0


def frame_indices(num_decoded: int, num_frames: int) -> list[int]:
    """Return floor(k * num_decoded / num_frames) for k = 0 … num_frames - 1; a short video's frames repeat."""
    return [k * num_decoded // num_frames for k in range(num_frames)]
