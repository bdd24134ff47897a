"""A plan takes frames at equal distances, by the clock, or all key frames; the facts say which."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from phidata import UsageError
from phidata.media.timeline import Timeline
from phidata.media.video import FrameFacts, FramePlan, VideoError, sample_video

ROOT = Path(__file__).parents[2]
VIDEOS = Path(__file__).parent / "videos"
KEY_EACH_12, REORDERED = (
    next((ROOT / "examples" / "ucf101_subset").glob(f"*/*/{name}.avi"))
    for name in ("v_BenchPress_g01_c03", "v_ApplyEyeMakeup_g01_c02")
)


def timeline(*times: int | None, ticks: int = 0, rate: int | None = None, keys: tuple[int, ...] = (0,)) -> Timeline:
    made = Timeline(Fraction(1, 1000), Fraction(rate) if rate else None)
    for index, pts in enumerate(times):
        made.add(pts, ticks=ticks, key=index in keys)
    return made


def facts(path: Path, plan: FramePlan, decoder: str = "pyav") -> FrameFacts:
    return sample_video(path, plan, decoder=decoder, keep=lambda image: image).facts


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({}, "a frame plan has exactly one of num_frames, fps and keyframes"),
        ({"num_frames": 8, "fps": 1.0}, "a frame plan has exactly one of num_frames, fps and keyframes"),
        ({"fps": 1.0, "keyframes": True}, "a frame plan has exactly one of num_frames, fps and keyframes"),
        ({"num_frames": 0}, "num_frames is 0; take at least 1 frame of a video"),
        ({"fps": 0.0}, "fps is 0; it is frames a second, above 0 and at most 1000"),
        ({"fps": float("nan")}, "fps is nan; it is frames a second, above 0 and at most 1000"),
    ],
)
def test_a_plan_is_exactly_one_rule(plan: dict[str, float], reason: str) -> None:
    with pytest.raises(UsageError) as refusal:
        FramePlan(**plan)
    assert str(refusal.value) == reason


def test_by_the_clock_the_frame_is_taken_that_is_shown_then() -> None:
    every_40_ms = timeline(*range(0, 1000, 40), ticks=40)
    assert every_40_ms.indices(FramePlan(fps=5)) == [0, 5, 10, 15, 20]
    assert every_40_ms.indices(FramePlan(fps=0.5)) == [0]
    uneven = timeline(0, 100, 1000, 1040, ticks=460)
    assert uneven.indices(FramePlan(fps=1)) == [0, 2]
    assert uneven.indices(FramePlan(fps=4)) == [0, 1, 1, 1, 2, 3]
    assert uneven.seconds == 1.5


def test_time_begins_at_the_first_frame() -> None:
    late = timeline(5000, 5100, 6000, 6040, ticks=460)
    assert (late.indices(FramePlan(fps=1)), late.seconds) == ([0, 2], 1.5)


def test_times_that_do_not_rise_give_way_to_the_rate() -> None:
    for times in ((0, 100, 100, 200), (0, None, 200, 300), (1, 2, 4, 3)):
        assert timeline(*times, rate=2).indices(FramePlan(fps=1)) == [0, 2]
        assert timeline(*times, rate=2).seconds == 2


def test_a_last_frame_that_does_not_say_lasts_as_long_as_the_one_before() -> None:
    assert timeline(0, 100, 300).seconds == 0.5
    assert timeline(7, rate=4).seconds == 0.25


def test_without_times_and_rate_only_numbers_help() -> None:
    nothing = timeline(None, None, keys=())
    assert nothing.indices(FramePlan(num_frames=2)) == [0, 1]
    assert nothing.seconds is None
    with pytest.raises(VideoError, match=r"^nothing in it says when its frames are shown; take them by num_frames$"):
        nothing.indices(FramePlan(fps=1))
    with pytest.raises(VideoError, match=r"^nothing in it says which frames are key frames; take them by num_frames$"):
        nothing.indices(FramePlan(keyframes=True))


def test_times_that_no_video_has_are_refused() -> None:
    with pytest.raises(VideoError, match=r"^its times say that it lasts 2,000,000 s: too long for 100,000 frames$"):
        timeline(0, 1_000_000_000).indices(FramePlan(fps=1))


def test_the_facts_of_a_clip() -> None:
    assert facts(KEY_EACH_12, FramePlan(num_frames=4)) == FrameFacts(
        num_decoded=104, seconds=4.16, indices=(0, 26, 52, 78)
    )
    assert facts(KEY_EACH_12, FramePlan(fps=1)) == FrameFacts(
        num_decoded=104, seconds=4.16, indices=(0, 25, 50, 75, 100)
    )
    assert facts(KEY_EACH_12, FramePlan(keyframes=True)) == FrameFacts(
        num_decoded=104, seconds=4.16, indices=tuple(range(0, 104, 12))
    )
    assert facts(REORDERED, FramePlan(fps=1)) == FrameFacts(num_decoded=123, seconds=4.92, indices=(0, 25, 50, 75, 100))


def test_an_edit_list_is_obeyed() -> None:
    assert facts(VIDEOS / "test_video_66x50.mov", FramePlan(fps=2)) == FrameFacts(
        num_decoded=82, seconds=pytest.approx(82 / 60), indices=(0, 30, 60)
    )


def test_decord_takes_the_same_frames_by_every_plan() -> None:
    for path in (KEY_EACH_12, VIDEOS / "h265_10bits.mp4", VIDEOS / "unordered.mov"):
        for plan in (FramePlan(num_frames=3), FramePlan(fps=7.5), FramePlan(keyframes=True)):
            assert facts(path, plan, "decord") == facts(path, plan)


def write_uneven(path: Path, codec: str) -> None:
    """Four grey frames at 0, 0.1, 1 and 1.04 seconds."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for shade, pts in ((40, 0), (100, 100), (160, 1000), (220, 1040)):
            frame = av.VideoFrame.from_image(Image.new("RGB", (32, 32), (shade, shade, shade)))
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_variable_frame_rate_is_followed(tmp_path: Path, codec: str) -> None:
    write_uneven(tmp_path / "uneven.mkv", codec)
    sample = sample_video(
        tmp_path / "uneven.mkv",
        FramePlan(fps=2),
        decoder="pyav",
        keep=lambda image: round(image.convert("L").getpixel((16, 16)), -1),
    )
    assert (sample.frames, sample.facts.indices) == ([40, 100, 160], (0, 1, 2))
