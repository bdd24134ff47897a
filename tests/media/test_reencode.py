"""Pictures are kept byte by byte, or made anew as the published script would, or refused in one sentence."""

from __future__ import annotations

import random
import sys
import warnings
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageFile

from phidata import DataError
from phidata.media import pillow
from phidata.media.images import Encoded, decode_rgb, encode, reencode

PICTURES = Path(__file__).parents[1] / "validation" / "images" / "pillow"
SMALL = [path for path in sorted(PICTURES.iterdir()) if path.stat().st_size < 8000]


def made(
    data: bytes | Path,
    image_format: str = "jpg",
    *,
    keep_bytes: bool = False,
    exif: str = "apply",
    max_side: int | None = None,
) -> Encoded:
    return reencode(data, image_format=image_format, quality=75, max_side=max_side, keep_bytes=keep_bytes, exif=exif)


def saved(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def noise(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    num_bytes = size[0] * size[1] * Image.getmodebands(mode)
    return Image.frombytes(mode, size, random.Random(7).randbytes(num_bytes))


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("image_format", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")], ids=["jpg", "png", "webp"]
)
def test_what_decodes_is_kept_byte_by_byte(image_format: str, suffix: str) -> None:
    data = saved(noise(), image_format)
    assert made(data, keep_bytes=True) == Encoded(data, suffix, 40, 30)


@pytest.mark.parametrize("image_format", ["GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000", "ICO"])
def test_other_formats_are_made_anew(image_format: str) -> None:
    encoded = made(saved(noise(), image_format), "png", keep_bytes=True)
    assert (encoded.suffix, decode_rgb(encoded.data).size) == ("png", (encoded.width, encoded.height))


def test_without_keep_bytes_a_picture_is_what_the_published_script_saves() -> None:
    for source in (saved(noise("L"), "JPEG", comment=b"by hand"), saved(noise("RGBA"), "PNG"), saved(noise(), "GIF")):
        with Image.open(BytesIO(source)) as image:
            assert made(source).data == saved(image.convert("RGB"), "JPEG")


def test_too_large_a_picture_is_scaled_and_not_kept() -> None:
    data = saved(noise(), "PNG")
    assert made(data, "png", keep_bytes=True, max_side=40).data == data
    scaled = made(data, "png", keep_bytes=True, max_side=20)
    assert (scaled.suffix, scaled.width, scaled.height) == ("png", 20, 15)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_applied_or_kept(image_format: str, orientation: int) -> None:
    data = saved(
        noise(), image_format, exif=turned(orientation), **({"lossless": True} if image_format == "WEBP" else {})
    )
    with Image.open(BytesIO(data)) as image:
        stored = image.convert("RGB")
        shown = upright_by_definition(stored, orientation)
    applied, kept = (made(data, "png", exif=exif) for exif in ("apply", "keep"))
    assert decode_rgb(applied.data).tobytes() == shown.tobytes()
    assert decode_rgb(kept.data).tobytes() == stored.tobytes()
    assert (tag_of(applied), tag_of(kept)) == (None, None if orientation == 1 else orientation)
    assert (applied.width, applied.height) == shown.size


def upright_by_definition(stored: Image.Image, orientation: int) -> Image.Image:
    """EXIF 2.32, tag 274: where the first row and the first column of the stored pixels are shown."""
    wide, high = stored.size
    shown = Image.new("RGB", (high, wide) if orientation > 4 else (wide, high))
    for x in range(wide):
        for y in range(high):
            at = {
                1: (x, y),
                2: (wide - 1 - x, y),
                3: (wide - 1 - x, high - 1 - y),
                4: (x, high - 1 - y),
                5: (y, x),
                6: (high - 1 - y, x),
                7: (high - 1 - y, wide - 1 - x),
                8: (y, wide - 1 - x),
            }[orientation]
            shown.putpixel(at, stored.getpixel((x, y)))
    return shown


def tag_of(encoded: Encoded) -> int | None:
    with Image.open(BytesIO(encoded.data)) as image:
        return image.getexif().get(0x0112)


def test_a_turned_picture_is_kept_only_when_exif_is() -> None:
    data = saved(noise(), "JPEG", exif=turned(6))
    assert made(data, keep_bytes=True, exif="keep") == Encoded(data, "jpg", 40, 30)
    upright = made(data, keep_bytes=True)
    assert (upright.width, upright.height, tag_of(upright)) == (30, 40, None)
    tagged = made(data, exif="keep", max_side=20)
    assert (tagged.width, tagged.height, tag_of(tagged)) == (20, 15, 6)


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    values = [0, 128, 129, 256, 32767, 32768, 65535]
    picture = Image.frombytes("I;16", (7, 1), b"".join(value.to_bytes(2, "little") for value in values))
    pgm = b"P5 7 1 65535\n" + b"".join(value.to_bytes(2, "big") for value in values)
    for data in (saved(picture, "PNG"), saved(picture, "TIFF"), pgm):
        for encoded in (made(data, "png"), made(data, "png", keep_bytes=True)):
            rgb = decode_rgb(encoded.data)
            assert [rgb.getpixel((x, 0)) for x in range(7)] == [(v, v, v) for v in (0, 0, 1, 1, 127, 128, 255)]


def test_a_tiff_says_what_its_white_is() -> None:
    picture = Image.frombytes("I;16", (3, 1), b"".join(value.to_bytes(2, "little") for value in (0, 2048, 4095)))
    tiff = saved(picture, "TIFF")
    tag = b"\x06\x01\x03\0\x01\0\0\0"
    inverted = tiff.replace(tag + b"\1", tag + b"\0")
    assert inverted != tiff
    assert [decode_rgb(inverted).getpixel((x, 0)) for x in range(3)] == [(v, v, v) for v in (255, 247, 239)]
    twelve = packed_twelve_bits(tiff)
    assert [decode_rgb(twelve).getpixel((x, 0)) for x in range(3)] == [(v, v, v) for v in (0, 128, 255)]


def packed_twelve_bits(tiff: bytes) -> bytes:
    """The same three pixels in 12 bits each, as a TIFF stores them."""
    pixels = b"\x00\x08\x00\xff\xf0"
    bits, length = b"\x02\x01\x03\0\x01\0\0\0\x10\0", b"\x17\x01\x04\0\x01\0\0\0\x06"
    assert tiff.count(bits) == tiff.count(length) == 1
    stored = tiff.replace(bits, bits[:-2] + b"\x0c\0").replace(length, length[:-1] + b"\x05")
    return stored.replace(b"\x00\x00\x00\x08\xff\x0f", pixels + b"\0")


def test_numbers_without_a_white_are_refused() -> None:
    wide = saved(Image.frombytes("I", (2, 1), (70_000).to_bytes(4, "little") * 2), "TIFF")
    small = saved(Image.frombytes("I", (2, 1), (255).to_bytes(4, "little") * 2), "TIFF")
    floats = saved(Image.new("F", (2, 1), 0.5), "TIFF")
    with pytest.raises(DataError, match=r"its pixels are numbers from 70000 to 70000 without a defined white"):
        made(wide)
    with pytest.raises(DataError, match=r"its pixels are floats without a defined black and white"):
        made(floats)
    assert decode_rgb(small).getpixel((1, 0)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_transparency_is_dropped_and_not_carried_along(mode: str) -> None:
    picture = Image.new("RGBA", (4, 4), (200, 40, 90, 0)).convert(mode)
    data = saved(picture, "PNG", **({} if "A" in mode else {"transparency": (200, 40, 90) if mode == "RGB" else 0}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data)) as image:
            plain = image.convert("RGB").tobytes()
    encoded = made(data, "png")
    assert decode_rgb(encoded.data).tobytes() == plain
    assert b"tRNS" not in encoded.data


def test_adobe_cmyk_is_not_shown_inverted() -> None:
    red = saved(Image.new("RGB", (8, 8), (255, 0, 0)).convert("CMYK"), "JPEG", quality=95)
    shown = decode_rgb(made(red, "png").data).getpixel((4, 4))
    assert isinstance(shown, tuple)
    assert max(abs(a - b) for a, b in zip(shown, (255, 0, 0), strict=True)) <= 3
    assert made(red, keep_bytes=True).data == red


def test_an_animation_becomes_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    for image_format in ("GIF", "PNG", "WEBP"):
        data = saved(frames[0], image_format, save_all=True, append_images=frames[1:])
        encoded = made(data, "png", keep_bytes=True)
        with Image.open(BytesIO(encoded.data)) as image:
            assert (image.format, getattr(image, "n_frames", 1)) == ("PNG", 1)
            red = image.convert("RGB").getpixel((0, 0))
        assert isinstance(red, tuple)
        assert red[0] > 240


def test_a_camera_s_preview_does_not_make_an_animation() -> None:
    camera = saved(noise(), "MPO", save_all=True, append_images=[noise()])
    assert made(camera, keep_bytes=True) == Encoded(camera, "jpg", 40, 30)


def test_content_and_not_the_name_says_what_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(saved(noise(), "JPEG"))
    assert made(tmp_path / "photo.png", keep_bytes=True).suffix == "jpg"


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "this file is empty"),
        (b"\xff\xd8\xff\xe0 page", "this image can not be decoded (Truncated File Read)"),
        (b"\x89PNG page", "this file begins like a PNG but its header can not be read"),
        (b"%PDF-1.7 ...", "this file is not an image: it is a PDF"),
        (b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "this file is not an image: it is an SVG"),
        (b"<!DOCTYPE html><title>404</title>", "this file is not an image: it is a web page"),
        (b"version https://git-lfs", "this file is not an image: it is a Git LFS pointer"),
        (
            b"hello\x1b[31m there",
            "this file is not an image: it begins with 'hello\N{REPLACEMENT CHARACTER}[31m there'",
        ),
        (HEIC, "this is a HEIC image: install pillow-heif, or convert it to JPEG"),
        (
            saved(noise(), "PNG")[:500],
            "this image can not be decoded (image file is truncated)",
        ),
        (b"P5 100000 100000 255\n", "this image claims 10,000,000,000 pixels; the limit is 178,956,970"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(data: bytes, reason: str) -> None:
    for keep_bytes in (False, True):
        with pytest.raises(DataError) as refusal:
            made(data, keep_bytes=keep_bytes)
        assert str(refusal.value) == reason


def test_what_can_not_be_read_is_refused_in_one_sentence(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "gone.jpg", "there is no such image"),
        (tmp_path, "this image can not be read (Is a directory)"),
        (Path("nul\0.jpg"), "this image can not be read (embedded null byte)"),
    ):
        with pytest.raises(DataError) as refusal:
            made(path)
        assert str(refusal.value) == reason


def test_a_heic_picture_is_read_by_its_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    class HeifFile(ImageFile.ImageFile):
        format = "HEIF"

        def _open(self) -> None:
            self._mode, self._size, self.tile = "RGB", (1, 1), [ImageFile._Tile("raw", (0, 0, 1, 1), 1, "RGB")]

    def register() -> None:
        monkeypatch.setitem(Image.OPEN, "HEIF", (HeifFile, lambda head: head[8:12] == b"heic"))

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    assert decode_rgb(made(HEIC, "png").data).getpixel((0, 0)) == (0, 0, 24)


def test_a_side_that_no_jpeg_holds_is_refused() -> None:
    line = saved(Image.new("1", (70_000, 1)), "PNG")
    with pytest.raises(DataError, match=r"^this image is 70000×1, more than a JPEG holds; scale it down or write PNG$"):
        made(line)
    assert made(line, max_side=60_000).width == 60_000


def test_no_setting_of_the_program_around_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    data = saved(noise(), "JPEG")
    assert made(data, keep_bytes=True).data == data
    for keep_bytes in (False, True):
        with pytest.raises(DataError, match="can not be decoded"):
            made(data[:-500], keep_bytes=keep_bytes)
    assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 10)


def refusal(data: bytes, *, keep_bytes: bool) -> str | None:
    try:
        encoded = made(data, "png", keep_bytes=keep_bytes, exif="keep")
    except DataError as error:
        return str(error)
    assert encoded.width * encoded.height > 0
    return None


def assert_an_image_or_a_sentence(data: bytes) -> None:
    """No other exception, and a file is refused for being kept exactly when it is for being decoded whole."""
    assert refusal(data, keep_bytes=True) == refusal(data, keep_bytes=False)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pillow, "LARGE_PIXELS", 1_000_000
    )  # a broken header may claim millions of pixels, and have them


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_a_picture_cut_anywhere_is_an_image_or_a_sentence(path: Path) -> None:
    data = path.read_bytes()
    for sixteenth in range(17):
        assert_an_image_or_a_sentence(data[: len(data) * sixteenth // 16])
    for num_missing in (1, 2, 3, 7, 20):
        assert_an_image_or_a_sentence(data[:-num_missing])


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_broken_bytes_are_an_image_or_a_sentence(path: Path) -> None:
    chance = random.Random(path.name)
    for _ in range(25):
        data = bytearray(path.read_bytes())
        for _ in range(chance.choice([1, 4, 30])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert_an_image_or_a_sentence(bytes(data))


def test_encoded_images_have_no_tag_unless_they_are_turned() -> None:
    assert b"Exif" not in encode(noise(), "jpg", quality=75)
    assert b"Exif" in encode(noise(), "jpg", quality=75, turned=8)
