"""What is wrong inside an image file: by its header alone, or by decoding every pixel."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import count, takewhile
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from phidata.diagnostics import image_rules
from phidata.diagnostics.excerpt import printable, quoted
from phidata.media.defect import Defect
from phidata.media.effort import MAX_FRAMES, TooLaboriousError
from phidata.media.pillow import LARGE_PIXELS, UNDECODABLE, claimed_pixels, open_image, orientation, strict_pillow
from phidata.media.presence import unreadable
from phidata.media.signature import begins_like

MAX_DECODED_PIXELS = 1 << 30  # in all frames together: a few kilobytes can claim thousands of large ones


def probe(source: str | bytes, *, decode: bool) -> list[Defect]:
    """Everything wrong with an image file that is there, given as its path or its content; with `decode` also what only
    decoding all its frames shows.

    A damaged or hostile file is a defect, never an exception.
    """
    try:
        file = _opened(source, whole=decode)
    except OSError as error:
        return [unreadable(error)]
    with file, strict_pillow() as caught:
        num_before = len(caught)  # by what was looked at before, where the caller is strict too
        defects = list(_content(file, decode=decode))
        told = caught[num_before:]
    messages = dict.fromkeys(_text(warning.message) for warning in told if not _is_about_size(warning))
    return defects + [Defect(image_rules.DECODER_WARNING, f"makes Pillow warn: {message}") for message in messages]


def _opened(source: str | bytes, *, whole: bool) -> BinaryIO:
    """A file to read from; in memory where the `whole` of it is wanted."""
    if isinstance(source, bytes):
        return BytesIO(source)
    file = open(source, "rb")  # noqa: PTH123, SIM115 - a Path would cost more than the call
    if not whole:
        return file
    with file:
        return BytesIO(file.read())


def _content(file: BinaryIO, *, decode: bool) -> Iterator[Defect]:
    try:
        image = open_image(file, decodes=decode)
        num_pixels = image.width * image.height
        if num_pixels > LARGE_PIXELS:
            yield Defect(image_rules.LARGE_IMAGE, f"has {num_pixels:,} pixels")
        animated = getattr(image, "is_animated", False) and image.format != "MPO"  # that is a camera's preview beside
        if animated:
            yield Defect(image_rules.ANIMATED, "has more than one frame")
        if decode and image.format != "TIFF":  # Pillow turns a TIFF while decoding it, and forgets how it was stored
            _decode(image, animated=animated)
        if (turned := orientation(image)) != 1:
            yield Defect(image_rules.ORIENTATION, f"is stored turned or mirrored, EXIF orientation {turned}")
        if decode and image.format == "TIFF":
            _decode(image, animated=animated)
    except UnidentifiedImageError:
        yield _unidentified(file)
    except Image.DecompressionBombError as error:
        claimed = claimed_pixels(error)
        size = _text(error) if claimed is None else f"claims {claimed:,} pixels"
        yield Defect(image_rules.DECOMPRESSION_BOMB, size)
    except UNDECODABLE as error:
        yield _damaged(error)


def _decode(image: Image.Image, *, animated: bool) -> None:
    """Decode every frame. Raises TooLaboriousError for more than a picture may have."""
    if _has_ordinary_sampling(image):
        image.draft(None, (1, 1))  # all of the data is read, and an eighth of each side computed from it
    num_pixels = 0
    for number in _frames(image) if animated else range(1):
        image.seek(number)
        num_pixels += image.width * image.height
        _check_frames(number + 1, num_pixels)
        image.load()


def _has_ordinary_sampling(image: Image.Image) -> bool:
    """Whether this is a JPEG that decodes at an eighth of its size exactly when it decodes: its chroma has as many
    samples as its luma, or half as many."""
    if not isinstance(image, JpegImageFile) or image.format != "JPEG" or len(image.layer) not in (1, 3):
        return False
    (_, *luma, _), *chroma = image.layer
    return max(luma) <= 2 and all((across, down) == (1, 1) for _, across, down, _ in chroma)


def _frames(image: Image.Image) -> Iterable[int]:
    """The numbers of the frames; those of a GIF and of a TIFF, which counting would read at any length, one by one."""
    if image.format in ("GIF", "TIFF"):
        return takewhile(lambda number: _has_frame(image, number), count())
    num_frames = getattr(image, "n_frames", 1)
    _check_frames(num_frames, num_frames * image.width * image.height)
    return range(num_frames)


def _has_frame(image: Image.Image, number: int) -> bool:
    try:
        image.seek(number)
    except EOFError:
        return False
    return True


def _check_frames(num_frames: int, num_pixels: int) -> None:
    if num_frames > MAX_FRAMES or num_pixels > MAX_DECODED_PIXELS:
        raise TooLaboriousError(f"it has {num_frames:,} frames or more, of {num_pixels:,} pixels together")


def _unidentified(file: BinaryIO) -> Defect:
    file.seek(0)
    head = file.read(16)
    if kind := begins_like(head):
        return Defect(image_rules.IMAGE_DAMAGED, f"begins like {kind} but its header can not be read")
    return Defect(image_rules.NOT_AN_IMAGE, f"is not an image: it begins with {quoted(head.decode('latin-1'))}")


def _damaged(error: Exception) -> Defect:
    if isinstance(error, TooLaboriousError):
        return Defect(image_rules.DECOMPRESSION_BOMB, f"would take too long to decode: {error}")
    if "Decompressed data too large" in str(error):
        return Defect(image_rules.DECOMPRESSION_BOMB, "holds text that unpacks to too much data")
    return Defect(image_rules.IMAGE_DAMAGED, f"can not be decoded: {_text(error)}")


def _text(error: Exception | Warning | str) -> str:
    """What Pillow says, which can hold anything that stood in the file."""
    return printable(str(error).strip()) or type(error).__name__


def _is_about_size(warning: warnings.WarningMessage) -> bool:
    return issubclass(warning.category, Image.DecompressionBombWarning)
