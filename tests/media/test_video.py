"""Frames are the right ones of real and odd videos, from both decoders, or the video is refused with the reason."""

from __future__ import annotations

import json
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from phidata import UsageError
from phidata.media.video import FramePlan, VideoError, frame_indices, sample_frames

ROOT = Path(__file__).parents[2]
VIDEOS = Path(__file__).parent / "videos"
CLIPS = sorted((ROOT / "examples" / "ucf101_subset").glob("*/*/*.avi"))
ALL_DATA = Path(os.environ.get("PHIDATA_TEST_DATA", ROOT.parent / "shared" / "data"))

REFUSED = {
    "bipbop_audioinit.mp4": "it has no video stream",
    "bipbop_cbcs_video_init.mp4": "it is encrypted",
    "chunk_out_of_range.mp4": "it can not be opened as a video (Invalid data found when processing input)",
    "corrupted.mp4": "frame 30 of its 49 is damaged",
    "no_timescale.mp4": "frame 0 of its 170 is damaged",
    "short-cenc.mp4": "it is encrypted",
    "zero_empty_stsc.mp4": "none of its frames can be decoded",
}
DECORD_REFUSES = {
    **REFUSED,
    "av1_video.mkv": "decord can not open it (ERROR cannot find video stream with wanted index: -1)",
    "bipbop_cbcs_video_init.mp4": "decord can not open it (Cannot create buffer source)",
    "corrupted.mp4": "decord can not decode all of it (Thread worker: Error sending packet.)",
    "imageio_issue245.gif": "decord can not open it (Failed to measure duration/frame-count due to broken metadata.)",
    "no_timescale.mp4": "decord can not decode all of it (Thread worker: Error sending packet.)",
    "test_video_66x50.mov": "decord ignores its edit list; use --decoder pyav",
    "tiny_av1.mp4": "decord can not open it (ERROR cannot find video stream with wanted index: -1)",
    "video_colr_nclx_rgb.mp4": "decord returns a frame of shape (2, 2, 48); use --decoder pyav",
    "3.avi": "decord returns a frame of shape (4, 4, 24); use --decoder pyav",
    "zero_empty_stsc.mp4": "decord can not open it (Cannot create buffer source)",
}


def read_facts(file: Path, folder: Path, name: str) -> list[Any]:
    facts = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [pytest.param(folder / fact[name], fact, id=fact[name]) for fact in facts]


SMALL = read_facts(VIDEOS / "facts.jsonl", VIDEOS, "file")
SHORT = [path for path in sorted(VIDEOS.glob("*.*")) if path.stat().st_size < 40_000 and "facts" not in path.name]
EVERY = read_facts(ALL_DATA / "video_facts.jsonl", ALL_DATA, "path")


def sample(path: Path, num_frames: int = 8, decoder: str = "pyav") -> list[Image.Image]:
    return sample_frames(path, num_frames, decoder=decoder, keep=lambda image: image)


def num_distinct_frames(path: Path, decoder: str = "pyav") -> int:
    """Asked for more frames than there are, a video gives each of them, some more than once."""
    kept = sample_frames(path, 1000, decoder=decoder, keep=lambda _: object())
    return len(set(map(id, kept)))


def assert_frames_are_the_measured_ones(path: Path, fact: dict[str, Any], decoder: str) -> None:
    images = sample(path, 8, decoder)
    assert len(images) == 8
    by_index = dict(zip(frame_indices(fact["frames_rgb"], 8), images, strict=True))
    for frame in fact["frames"]:
        mean = ImageStat.Stat(by_index[frame["index"]]).mean
        assert mean == pytest.approx(frame["mean_rgb"], abs=2), f"frame {frame['index']}"


def test_indices_are_the_floor_of_equal_distances() -> None:
    assert frame_indices(164, 8) == [0, 20, 41, 61, 82, 102, 123, 143]
    assert frame_indices(8, 8) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert frame_indices(3, 8) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert frame_indices(1, 2) == [0, 0]


@pytest.mark.parametrize(("path", "fact"), SMALL)
def test_frames_are_those_that_ffmpeg_decodes(path: Path, fact: dict[str, Any]) -> None:
    if path.name in REFUSED:
        with pytest.raises(VideoError) as refusal:
            sample(path)
        assert str(refusal.value) == REFUSED[path.name]
    else:
        assert num_distinct_frames(path) == fact["frames_rgb"]
        assert_frames_are_the_measured_ones(path, fact, "pyav")


@pytest.mark.parametrize(("path", "fact"), SMALL)
def test_decord_gives_the_same_frames_or_refuses(path: Path, fact: dict[str, Any]) -> None:
    if path.name in DECORD_REFUSES:
        with pytest.raises(VideoError) as refusal:
            sample(path, decoder="decord")
        assert str(refusal.value) == DECORD_REFUSES[path.name]
    else:
        assert num_distinct_frames(path, "decord") == fact["frames_rgb"]
        assert_frames_are_the_measured_ones(path, fact, "decord")


@pytest.mark.skipif(not EVERY, reason="PHIDATA_TEST_DATA names no collection of videos")
@pytest.mark.parametrize(("path", "fact"), EVERY)
def test_frames_of_the_complete_collection_are_those_that_ffmpeg_decodes(path: Path, fact: dict[str, Any]) -> None:
    num_frames = fact.get("frames_rgb") or 0
    if num_frames == 0 or path.name in REFUSED:
        with pytest.raises(VideoError) as refusal:
            sample(path)
        assert num_frames == 0 or f"of its {num_frames} is damaged" in str(refusal.value)
    else:
        assert_frames_are_the_measured_ones(path, fact, "pyav")
        if path.stat().st_size < 100_000:
            assert num_distinct_frames(path) == num_frames


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_both_decoders_give_the_same_pixels_of_ucf101(clip: Path) -> None:
    pairs = zip(sample(clip, 8, "pyav"), sample(clip, 8, "decord"), strict=True)
    assert [ImageChops.difference(*pair).getbbox() for pair in pairs] == [None] * 8


@pytest.mark.parametrize(
    ("name", "size"),
    [("video_90.mov", (320, 568)), ("video_180.mov", (568, 320)), ("video_270.mov", (320, 568))],
)
def test_both_decoders_turn_a_video_upright(name: str, size: tuple[int, int]) -> None:
    mine, theirs = (sample(VIDEOS / name, 1, decoder)[0] for decoder in ("pyav", "decord"))
    assert mine.size == theirs.size == size
    assert max(ImageStat.Stat(ImageChops.difference(mine, theirs)).mean) < 2


def test_the_first_video_stream_is_taken_and_no_cover_picture() -> None:
    assert sample(VIDEOS / "metadata.mp4", 1)[0].size == (320, 240)


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_an_empty_file_is_refused(tmp_path: Path, decoder: str) -> None:
    (tmp_path / "empty.avi").touch()
    with pytest.raises(VideoError, match=r"^the file is empty$"):
        sample(tmp_path / "empty.avi", 8, decoder)


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize("clip", [CLIPS[0], VIDEOS / "h265_10bits.mp4"], ids=["avi", "mp4"])
def test_half_a_file_is_refused(tmp_path: Path, clip: Path, decoder: str) -> None:
    data = clip.read_bytes()
    half = tmp_path / f"half{clip.suffix}"
    half.write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError) as refusal:
        sample(half, 8, decoder)
    assert str(refusal.value).startswith(f"the file is cut short: it has {len(data) // 2} bytes and declares ")


@pytest.mark.parametrize(
    "content", [b"GIF89a", b"RIFF", b"just text\n" * 40, bytes(64), b"\0\0\0\x18ftypisom" + bytes(9)]
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.avi").write_bytes(content)
    with pytest.raises(VideoError):
        sample(tmp_path / "odd.avi")


def test_titles_in_any_encoding_do_no_harm(tmp_path: Path) -> None:
    latin = (VIDEOS / "metadata.mp4").read_bytes().replace(b"Album", b"Alb\xfcm")
    (tmp_path / "latin.mp4").write_bytes(latin)
    assert sample(tmp_path / "latin.mp4", 1)[0].size == (320, 240)


@pytest.mark.parametrize("path", SHORT, ids=lambda path: path.name)
def test_broken_bytes_are_frames_or_a_sentence(tmp_path: Path, path: Path) -> None:
    chance = random.Random(path.name)
    plans = (FramePlan(num_frames=2), FramePlan(fps=1), FramePlan(keyframes=True))
    for number in range(6):
        data = bytearray(path.read_bytes())
        for _ in range(chance.choice([1, 5, 30])):
            data[chance.randrange(min(len(data), chance.choice([1500, len(data)])))] = chance.randrange(256)
        (tmp_path / path.name).write_bytes(data)
        with suppress(VideoError):
            frames = sample_frames(
                tmp_path / path.name, plans[number % 3], decoder="pyav", keep=lambda image: image.size
            )
            assert frames


def damaged(clip: Path, at: float, tmp_path: Path) -> Path:
    data = bytearray(clip.read_bytes())
    start = int(len(data) * at)
    data[start : start + 400] = bytes(range(100)) * 4
    copy = tmp_path / clip.name
    copy.write_bytes(data)
    return copy


def test_damage_lasts_to_the_next_key_frame(tmp_path: Path) -> None:
    """No decoder marks the frames that were predicted from a broken one, but their pixels are wrong all the same."""
    one_key, key_each_12 = (clip for clip in CLIPS if clip.stem in ("v_ApplyEyeMakeup_g01_c01", "v_BenchPress_g01_c01"))
    with pytest.raises(VideoError, match=r"^frame 81 of its 163 is damaged$"):
        sample(damaged(one_key, 0.3, tmp_path), 2)
    hurt = damaged(key_each_12, 0.3, tmp_path)
    assert [image.tobytes() for image in sample(hurt, 2)] == [image.tobytes() for image in sample(key_each_12, 2)]
    with pytest.raises(VideoError, match="is damaged"):
        sample(hurt, 151)


def test_a_decoder_that_is_unknown_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no decoder 'opencv'; there are pyav, decord"):
        sample(CLIPS[0], 8, "opencv")
