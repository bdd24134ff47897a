"""The images that rows name: measured facts of real files, presence under the exact name, one look at each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import phidata
from phidata.media import presence
from phidata.media.presence import ImageFolder
from phidata.media.probe import probe
from phidata.validation import images as images_module
from phidata.validation.inputs import MEDIA
from phidata.validation.seen import SoundImages, local_slots, shared_slots, slots_file

HERE = Path(__file__).parent
IMAGES = HERE / "images"


def facts_file() -> Path:
    """All measured images where they are found ($PHIDATA_TEST_DATA or ../shared/data), else the few in this folder."""
    data = Path(os.environ.get("PHIDATA_TEST_DATA", HERE.parents[2] / "shared" / "data"))
    return data / "image_facts.jsonl" if (data / "image_facts.jsonl").is_file() else IMAGES / "facts.jsonl"


def codes(path: Path, *, decode: bool = True) -> set[str]:
    return {defect.rule.code for defect in probe(str(path), decode=decode)}


@pytest.mark.parametrize("facts", sorted({facts_file(), IMAGES / "facts.jsonl"}), ids=lambda path: path.parent.name)
def test_findings_are_what_was_measured(facts: Path) -> None:
    for line in facts.read_text().splitlines():
        fact = json.loads(line)
        defects = probe(str(facts.parent / fact["path"]), decode=True)
        found = {defect.rule.code for defect in defects}
        assert all(defect.rule.severity == "warning" for defect in defects) == fact["decodes"], (line, defects)
        if "format" in fact:
            assert ("PHI409" in found) == (fact["orientation"] != 1), (line, defects)
            assert ("PHI410" in found) == (fact["frames"] > 1), (line, defects)


def test_only_decoding_finds_an_image_that_was_cut(tmp_path: Path) -> None:
    for name, code in (
        ("hopper_16bit_qtables.jpg", "PHI406"),
        ("hopper.gif", "PHI406"),
        ("hopper_rle8_grayscale.bmp", "PHI406"),
    ):
        content = (IMAGES / "pillow" / name).read_bytes()
        cut = tmp_path / name
        cut.write_bytes(content[: len(content) // 2])
        assert (codes(cut, decode=False), codes(cut)) == (set(), {code})


def test_the_callers_leniency_with_damaged_images_is_no_leniency_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert codes(IMAGES / "pillow" / "truncated_jpeg.jpg") == {"PHI406"}
    assert codes(IMAGES / "pillow" / "decompression_bomb.gif") == {"PHI407"}
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, None)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(IMAGES.glob("pillow/hopper*"))), st.data())
def test_no_damage_makes_the_probe_fail(
    tmp_path_factory: pytest.TempPathFactory, image: Path, data: st.DataObject
) -> None:
    content = bytearray(image.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, min(400, len(content) - 1)))] = data.draw(st.integers(0, 255))
    damaged = tmp_path_factory.getbasetemp() / "damaged"
    damaged.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    probe(str(damaged), decode=True)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1}, {"restart_marker_blocks": 3}],
    ids=str,
)
def test_decoding_an_eighth_of_a_jpeg_finds_what_decoding_all_of_it_finds(
    monkeypatch: pytest.MonkeyPatch, mode: str, options: dict[str, int]
) -> None:
    buffer = BytesIO()
    Image.effect_mandelbrot((96, 64), (-2.0, -1.5, 1.0, 1.5), 50).convert(mode).save(buffer, "JPEG", **options)
    damaged = [*damages(buffer.getvalue(), Random(0))]
    eighth = [probe(content, decode=True) for content in damaged]
    monkeypatch.setattr("phidata.media.probe._has_ordinary_sampling", lambda _: False)
    assert [probe(content, decode=True) for content in damaged] == eighth
    assert [] in eighth
    assert sum(map(bool, eighth)) > 20


def damages(content: bytes, random: Random) -> Iterator[bytes]:
    """The content itself, cut short at each sixteenth, and 100 times with some of its bytes changed."""
    yield content
    yield from (content[: len(content) * part // 16] for part in range(1, 16))
    for number in range(100):
        changed = bytearray(content)
        for _ in range(1 + number % 5):
            changed[random.randrange(2, len(content))] = random.randrange(256)
        yield bytes(changed)


def test_many_frames_are_a_bomb_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("L", (10, 10), shade) for shade in range(5)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert codes(tmp_path / "a.gif") == {"PHI410"}
    monkeypatch.setattr("phidata.media.probe.MAX_DECODED_PIXELS", 499)
    assert [defect.what for defect in probe(str(tmp_path / "a.gif"), decode=True)][1:] == [
        "would take too long to decode: it has 5 frames or more, of 500 pixels together"
    ]


def test_a_jpeg_with_a_preview_beside_is_not_animated(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    pictures[0].save(tmp_path / "camera.jpg", format="MPO", save_all=True, append_images=pictures[1:])
    assert codes(tmp_path / "camera.jpg") == set()


def test_the_name_on_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "Train").mkdir()
    (tmp_path / "Train" / "Café.JPG").write_bytes(b"x")
    folder = ImageFolder(str(tmp_path))
    assert folder.defect("Train/Café.JPG") is None
    for name in ("train/café.jpg", "Train/Cafe\u0301.JPG"):
        found = folder.defect(name)
        assert found
        assert (found.rule.code, found.what) == ("PHI402", "is called 'Train/Café.JPG' on disk")


def test_a_file_system_that_ignores_case_does_not_hide_a_wrong_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dog.jpg").write_bytes(b"x")
    monkeypatch.setattr(presence, "_same_file", lambda *_: True)
    monkeypatch.setattr(presence, "_listing", lambda _: {"dog.jpg": "Dog.jpg", "Dog.jpg": "Dog.jpg"})
    found = ImageFolder(str(tmp_path)).defect("dog.jpg")
    assert found
    assert (found.rule.code, found.what) == ("PHI402", "is called 'Dog.jpg' on disk")


def test_only_a_regular_file_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    folder = ImageFolder(str(tmp_path))
    found = {name: folder.defect(f"{name}.jpg") for name in ("folder", "pipe", "loop")}
    assert {name: defect.rule.code if defect else None for name, defect in found.items()} == dict.fromkeys(
        found, "PHI404"
    )


def test_a_file_that_can_not_be_opened_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    [defect] = probe("any.jpg", decode=False)
    assert (defect.rule.code, defect.what) == ("PHI404", "can not be read: Permission denied")


def write_rows(folder: Path, *names: str) -> Path:
    file = folder / "rows.jsonl"
    turn = {"user": "u", "assistant": "x"}
    rows = [
        {"id": str(n), "source": "s", "conversations": [{"images": [name], **turn}]} for n, name in enumerate(names)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_each_image_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    looked: list[str] = []
    real = images_module.probe
    monkeypatch.setattr(images_module, "probe", lambda path, decode: looked.append(path) or real(path, decode=decode))
    report = phidata.validate(write_rows(tmp_path, *["a.png", "b.png"] * 3), media="decode")
    assert [(found.code, found.line) for found in report.diagnostics] == [("PHI406", 2), ("PHI406", 4), ("PHI406", 6)]
    assert looked == [f"{tmp_path}/a.png", f"{tmp_path}/b.png"]


def test_media_says_how_closely_images_are_looked_at(tmp_path: Path) -> None:
    for name in ("truncated_jpeg.jpg", "broken.png"):
        (tmp_path / name).write_bytes((IMAGES / "pillow" / name).read_bytes())
    file = write_rows(tmp_path, "missing.jpg", "broken.png", "truncated_jpeg.jpg")
    found = {media: [item.line for item in phidata.validate(file, media=media).diagnostics] for media in MEDIA}
    assert found == {"none": [], "exists": [1], "header": [1, 2], "decode": [1, 2, 3]}


def test_images_lie_beside_the_file_or_where_it_is_said(tmp_path: Path) -> None:
    buffer = BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    for folder in ("", "images", "other"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{folder or 'root'}.png").write_bytes(buffer.getvalue())
    file = write_rows(tmp_path, "root.png", "images.png", "other.png")
    assert [item.line for item in phidata.validate(file).diagnostics] == [1, 3]
    assert [item.line for item in phidata.validate(file, images=tmp_path / "other").diagnostics] == [1, 2]
    (tmp_path / "images" / "images.png").unlink()
    (tmp_path / "images").rmdir()
    assert [item.line for item in phidata.validate(file).diagnostics] == [2, 3]


def test_sound_images_are_remembered_in_fixed_memory() -> None:
    slots = local_slots()[:4]
    sound = SoundImages(slots)
    for number in range(100):
        sound.add(f"{number}.jpg")
        assert f"{number}.jpg" in sound
    assert sum(f"{number}.jpg" in sound for number in range(100)) == 4


def test_processes_share_what_is_sound() -> None:
    with slots_file() as file:
        SoundImages(shared_slots(file.fileno())).add("a.jpg")
        other = SoundImages(shared_slots(file.fileno()))
        assert ("a.jpg" in other, "b.jpg" in other) == (True, False)
