"""What is left undecoded changes nothing: not a pixel, not a count, not a verdict about damage."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from phidata.media import skipping
from phidata.media.mpeg4 import Headers
from phidata.media.video import FramePlan, Sample, VideoError, sample_video

from .expectations import COLLECTION, ROOT

VIDEOS = Path(__file__).parent / "videos"
CLIPS = sorted((ROOT / "examples" / "ucf101_subset").glob("*/*/*.avi"))
EVERY = [path for path in sorted((COLLECTION / "video").rglob("*")) if path.is_file()]
PLANS = [
    FramePlan(num_frames=1),
    FramePlan(num_frames=8),
    FramePlan(num_frames=200),
    FramePlan(fps=2),
    FramePlan(keyframes=True),
]
SHORT = next(clip for clip in CLIPS if clip.stem == "v_BenchPress_g01_c03")
REORDERED = next(clip for clip in CLIPS if clip.stem == "v_ApplyEyeMakeup_g01_c02")


def taken(path: Path, plan: FramePlan, *, everything: bool) -> Sample[int] | str:
    with pytest.MonkeyPatch.context() as patch:
        if everything:
            patch.setattr(skipping, "sample_skipping", lambda *_: None)
        try:
            return sample_video(path, plan, decoder="pyav", keep=lambda image: hash(image.tobytes()))
        except VideoError as error:
            return str(error)


def is_left_out(path: Path) -> bool:
    """Whether anything of a video is left undecoded."""
    try:
        return skipping.sample_skipping(path, FramePlan(num_frames=8), lambda image: image) is not None
    except VideoError:
        return False


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("path", [SHORT, REORDERED, VIDEOS / "3.avi", VIDEOS / "4.mp4"], ids=lambda path: path.name)
def test_frames_and_facts_are_those_of_decoding_everything(path: Path, plan: FramePlan) -> None:
    assert taken(path, plan, everything=False) == taken(path, plan, everything=True)


@pytest.mark.skipif(not EVERY, reason="PHIDATA_TEST_DATA names no collection of videos")
def test_in_the_collection_only_mpeg4_without_reordered_pictures_is_left_out() -> None:
    left_out = [path for path in EVERY if is_left_out(path)]
    assert [path.name for path in left_out] == [
        "v_BaseballPitch_g01_c01.avi",
        "bbb_sunflower_QCIF_30fps_mp4v_noaudio_1f.mp4",
        "test.mp4",
        "3.avi",
    ]
    for path in left_out:
        for plan in PLANS:
            assert taken(path, plan, everything=False) == taken(path, plan, everything=True)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_they_are_for_the_clips_of_ucf101(clip: Path) -> None:
    assert taken(clip, FramePlan(num_frames=8), everything=False) == taken(
        clip, FramePlan(num_frames=8), everything=True
    )


def test_most_frames_of_a_clip_with_many_key_frames_are_left_out() -> None:
    keys = [index % 12 == 0 for index in range(104)]
    needed = skipping._needed(keys, {0, 13, 26, 39, 52, 65, 78, 91})
    assert needed == [
        *range(18),
        24,
        25,
        26,
        *range(36, 40),
        *range(48, 53),
        *range(60, 66),
        *range(72, 79),
        *range(84, 92),
    ]
    assert (is_left_out(SHORT), is_left_out(REORDERED), is_left_out(VIDEOS / "4.mp4")) == (True, False, False)


def test_a_large_file_is_read_twice_and_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = FramePlan(num_frames=8)
    once = taken(SHORT, plan, everything=False)
    monkeypatch.setattr(skipping, "MAX_HELD_BYTES", 0)
    assert (is_left_out(SHORT), taken(SHORT, plan, everything=False)) == (True, once)


def broken(data: bytearray, chance: random.Random) -> bytes:
    how = chance.choice(["flip", "flip", "erase", "header"])
    if how == "flip":
        for _ in range(chance.choice([1, 1, 3, 10])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == "erase":
        start = chance.randrange(len(data))
        num_bytes = min(chance.choice([1, 16, 400]), len(data) - start)
        data[start : start + num_bytes] = bytes(num_bytes)
    else:
        pictures = [at for at in range(len(data)) if data.startswith(b"\0\0\1\xb6", at)]
        data[min(chance.choice(pictures) + chance.randrange(4, 10), len(data) - 1)] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("clip", [SHORT, VIDEOS / "3.avi"], ids=lambda clip: clip.stem)
def test_a_broken_clip_has_the_verdict_of_decoding_everything(tmp_path: Path, clip: Path, seed: int) -> None:
    chance = random.Random(seed)
    copy = tmp_path / clip.name
    copy.write_bytes(broken(bytearray(clip.read_bytes()), chance))
    plan = chance.choice(PLANS)
    assert taken(copy, plan, everything=False) == taken(copy, plan, everything=True)


LAYER = "000001b003000001b509000001000000012000bc0406c400670c281078518f"  # of a clip: 25 a second, 5 bits of time


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        ("000001b6 10 60", "I"),
        ("000001b6 50 60", "P"),
        ("000001b6 d0 60", None),  # with a sprite
        ("000001b6 90 60", None),  # bidirectional
        ("000001b6 10 40", None),  # not coded
        ("000001b6 00 60", None),  # without its marker
        ("000001b6 10 60 000001b6 50 60", None),  # two in one packet
        ("000001b3 001007 000001b6 10 60", "I"),  # after the header of a group
        (f"{LAYER} 000001b6 10 60", "I"),  # after the headers that the stream began with
        ("000001b2 44697658 000001b6 10 60", None),  # after what the stream did not begin with
        ("7f", None),
        ("", None),
    ],
)
def test_a_packet_is_one_picture_of_a_known_kind_or_unknown(packet: str, kind: str | None) -> None:
    assert Headers(bytes.fromhex(LAYER)).picture_kind(bytes.fromhex(packet)) == kind


def test_without_a_usual_layer_nothing_is_known() -> None:
    for layer in ("", "00000100", LAYER[:30], LAYER.replace("2000bc", "200fbc")):
        assert Headers(bytes.fromhex(layer)).picture_kind(bytes.fromhex("000001b61060")) is None
