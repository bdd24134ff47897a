"""A sound picture of every format, what reads them, and what damage and chance make of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

from PIL import Image

from phidata.curation.inventory import _seen
from phidata.errors import DataError
from phidata.media.images import decode_rgb, reencode
from phidata.media.pillow import open_image, strict_pillow
from phidata.media.probe import probe
from phidata.media.sizes import image_size
from phidata.previewing.thumbnails import Sides, make_pictures

from .pictures import noise, saved

KINDS: Mapping[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(noise(), "JPEG"),
    "JPEG, progressive": lambda: saved(noise(), "JPEG", progressive=True),
    "JPEG, EXIF": lambda: saved(noise(), "JPEG", exif=_turned()),
    "PNG": lambda: saved(noise(), "PNG"),
    "PNG, palette": lambda: saved(noise(mode="L").convert("P"), "PNG", transparency=bytes(range(256))),
    "PNG, animated": lambda: saved(noise(), "PNG", save_all=True, append_images=[noise().rotate(180)]),
    "WebP": lambda: saved(noise(), "WEBP"),
    "WebP, lossless": lambda: saved(noise(), "WEBP", lossless=True),
    "WebP, animated": lambda: saved(noise(), "WEBP", save_all=True, append_images=[noise().rotate(180)]),
    "GIF": lambda: saved(noise(), "GIF"),
    "GIF, animated": lambda: saved(noise(), "GIF", save_all=True, append_images=[noise().rotate(180)]),
    "BMP": lambda: saved(noise(), "BMP"),
    "TIFF": lambda: saved(noise(), "TIFF"),
    "TIFF, LZW": lambda: saved(noise(), "TIFF", compression="tiff_lzw"),
    "AVIF": lambda: saved(noise(), "AVIF"),
    "PPM": lambda: saved(noise(), "PPM"),
    "JPEG 2000": lambda: saved(noise(), "JPEG2000"),
    "ICO": lambda: saved(noise((32, 32)), "ICO"),
}


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = 6
    return exif


def cuts(data: bytes) -> Iterator[bytes]:
    """The beginning of a file, of 1/16 to 15/16 of it."""
    return (data[: len(data) * part // 16] for part in range(1, 16))


def is_pixels_of(data: bytes, shown: Image.Image) -> bool:
    """Whether a file shows the same picture: what was cut off was no pixel."""
    found = decode_rgb(data)
    return found.size == shown.size and found.tobytes() == shown.tobytes()


Read = Callable[[bytes], object]

HOW: Mapping[str, Read] = {
    "convert": lambda data: _reencoded(data),
    "convert --keep-bytes": lambda data: _reencoded(data, keep_bytes=True),
    "convert --exif keep": lambda data: _reencoded(data, exif="keep"),
    "validate --media header": lambda data: probe(data, decode=False),
    "validate --media decode": lambda data: probe(data, decode=True),
    "stats": image_size,
    "preview": lambda data: make_pictures(data, Sides(144, 320)),
    "dedup": lambda data: _seen(data, SimpleNamespace(content_of={}), looks=True),  # type: ignore[arg-type]
}


def _reencoded(data: bytes, *, keep_bytes: bool = False, exif: str = "apply") -> bytes:
    made = reencode(data, image_format="jpg", quality=75, max_side=512, keep_bytes=keep_bytes, exif=exif)
    with strict_pillow(), open_image(io.BytesIO(made.data)) as image:
        assert image.size == (made.width, made.height)
    return made.data


def taken(data: bytes, how: str) -> bool:
    """Whether a reader takes a picture; what it refuses it refuses by a DataError with a sentence."""
    try:
        found = HOW[how](data)
    except DataError as error:
        if not str(error):
            raise AssertionError("an error without a sentence") from error
        return False
    return found is not None and found != []
