"""Images are opened as RGB or refused by name, never enlarged, and encoded as the published script does."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from phidata import DataError
from phidata.media import pillow
from phidata.media.images import decode_rgb, encode, open_rgb, scale_down


def gradient(width: int, height: int) -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert("RGB")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_opens_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.new(mode, (5, 4)).save(path)
    image = open_rgb(path)
    assert (image.mode, image.size) == ("RGB", (5, 4))


def test_an_animation_opens_as_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert open_rgb(tmp_path / "a.png").getpixel((0, 0)) == (255, 0, 0)


def test_whatever_a_reader_raises_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("Conversion from YUV failed")  # as of a damaged AVIF

    monkeypatch.setattr(Image.Image, "convert", fail)
    (tmp_path / "a.jpg").write_bytes(encode(Image.new("RGB", (4, 4)), "jpg", quality=75))
    with pytest.raises(DataError, match=r"a\.jpg: this image can not be decoded \(Conversion from YUV failed\)"):
        open_rgb(tmp_path / "a.jpg")


def test_an_image_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    path.write_bytes(encode(gradient(64, 64), "jpg", quality=75)[:700])
    with pytest.raises(DataError, match=r"half\.jpg: this image can not be decoded \(.*\); replace it or drop its row"):
        open_rgb(path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.png: this file (is empty|is not an image|begins like a PNG)"):
        open_rgb(path)


def test_a_missing_image_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: there is no such image"):
        open_rgb(tmp_path / "gone.png")


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow, "LARGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"^this image claims 1,600 pixels; the limit is 178,956,970$"):
        decode_rgb(encode(gradient(40, 40), "png", quality=75))


@pytest.mark.parametrize(
    ("size", "max_side", "scaled"),
    [
        ((320, 240), None, (320, 240)),
        ((320, 240), 320, (320, 240)),
        ((320, 240), 1000, (320, 240)),
        ((320, 240), 160, (160, 120)),
        ((240, 320), 160, (120, 160)),
        ((1000, 1), 10, (10, 1)),
    ],
)
def test_images_are_scaled_down_and_never_up(
    size: tuple[int, int], max_side: int | None, scaled: tuple[int, int]
) -> None:
    assert scale_down(gradient(*size), max_side).size == scaled


def test_jpg_has_the_bytes_of_a_plain_save() -> None:
    """The published script saves with Pillow's own settings: quality 75, 4:2:0."""
    plain = BytesIO()
    gradient(33, 17).save(plain, "JPEG")
    assert encode(gradient(33, 17), "jpg", quality=75) == plain.getvalue()


def test_png_is_lossless() -> None:
    data = encode(gradient(33, 17), "png", quality=75)
    with Image.open(BytesIO(data)) as image:
        assert (image.format, image.mode, image.tobytes()) == ("PNG", "RGB", gradient(33, 17).tobytes())
