"""A header that is told sound by its bytes has no defect by Pillow; ordinary headers are told sound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from phidata.media.probe import probe
from phidata.media.sound import HEAD_BYTES, file_head, has_sound_header

IMAGES = Path(__file__).parents[1] / "validation" / "images"
DATA = Path(os.environ.get("PHIDATA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "image"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int | None) -> bytes:
    """What a camera writes: texts, numbers and fractions, some of them outside of their entries."""
    tags = Image.Exif()
    texts = {0x10F: "Maker", 0x110: "M", 0x8769: {0x9003: "2026:11:25 09:00:00"}}
    for tag, value in (texts | {0x11A: 72.5, 0x128: 2}).items():
        tags[tag] = value
    if orientation is not None:
        tags[0x112] = orientation
    return tags.tobytes()


def encoded(mode: str, format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    Image.new(mode, (19, 13), 1 if mode == "1" else None).save(buffer, format, **options)
    return buffer.getvalue()


SOUND = {
    "grey.jpg": encoded("L", "JPEG"),
    "colour.jpg": encoded("RGB", "JPEG", quality=75),
    "progressive.jpg": encoded("RGB", "JPEG", progressive=True),
    "optimized.jpg": encoded("RGB", "JPEG", optimize=True, dpi=(72, 72), comment=b"hello"),
    "profile.jpg": encoded("RGB", "JPEG", icc_profile=PROFILE),
    "restarts.jpg": encoded("RGB", "JPEG", restart_marker_blocks=1),
    "camera.jpg": encoded("RGB", "JPEG", exif=exif(1), xmp=b"<x:xmpmeta/>"),
    "upright.jpg": encoded("RGB", "JPEG", exif=exif(None)),
    "bits.png": encoded("1", "PNG"),
    "grey.png": encoded("L", "PNG"),
    "sixteen.png": encoded("I;16", "PNG"),
    "colour.png": encoded("RGB", "PNG", dpi=(72, 72)),
    "alpha.png": encoded("RGBA", "PNG"),
}
# What has defects, or may have: for Pillow to judge.
UNSURE = {
    "turned.jpg": encoded(
        "RGB", "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    ),
    "print.jpg": encoded("CMYK", "JPEG"),
    "palette.png": encoded("P", "PNG"),
    "text.png": encoded("RGB", "PNG", icc_profile=PROFILE),
    "frames.png": encoded("L", "PNG", save_all=True, append_images=[Image.new("L", (19, 13), 9)]),
    "small.gif": encoded("L", "GIF"),
    "small.webp": encoded("RGB", "WEBP"),
}


@pytest.mark.parametrize("name", SOUND)
def test_an_ordinary_header_is_sound(name: str) -> None:
    assert has_sound_header(SOUND[name])
    assert probe(SOUND[name], decode=False) == []


@pytest.mark.parametrize("name", UNSURE)
def test_any_other_header_is_for_pillow_to_judge(name: str) -> None:
    assert not has_sound_header(UNSURE[name])


@pytest.mark.parametrize("name", SOUND)
def test_a_damaged_header_that_is_told_sound_has_no_defect(name: str) -> None:
    refused = 0
    for damaged in damages(SOUND[name]):
        if has_sound_header(damaged[:HEAD_BYTES]):
            assert probe(damaged, decode=False) == [], damaged[:700]
        else:
            refused += 1
    assert refused > 30


def damages(content: bytes) -> Iterator[bytes]:
    """The content with each byte of its header changed in five ways, taken out and doubled, and cut off there."""
    for place in range(2, min(len(content), 800)):
        before, byte, after = content[:place], content[place], content[place + 1 :]
        for other in {0, 0xFF, byte ^ 1, byte ^ 0x80, (byte + 3) % 256} - {byte}:
            yield before + bytes([other]) + after
        yield before + after
        yield before + bytes([byte, byte]) + after
        yield before


def test_files_that_are_told_sound_have_no_defect() -> None:
    files = sorted(path for folder in (IMAGES, DATA) for path in folder.rglob("*") if path.is_file())
    sound = [path for path in files if has_sound_header(file_head(str(path)))]
    assert sound
    assert {path: found for path in sound if (found := probe(str(path), decode=False))} == {}


@pytest.mark.parametrize(("width", "height", "sound"), [(9473, 9445, True), (9474, 9445, False), (0, 1, False)])
def test_a_size_is_sound_where_pillow_does_not_warn(width: int, height: int, sound: bool) -> None:
    at = SOUND["colour.jpg"].index(b"\xff\xc0") + 5
    content = SOUND["colour.jpg"]
    resized = content[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + content[at + 4 :]
    assert has_sound_header(resized) == sound
    assert (probe(resized, decode=False) == []) == sound
