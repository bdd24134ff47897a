"""What a converter makes the images of a row with."""

from __future__ import annotations

import base64
import os
import posixpath
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

from PIL.Image import Image

from phidata.conversion.options import Options
from phidata.errors import DataError
from phidata.media.images import Encoded, encode, reencode, scale_down
from phidata.media.video import sample_video
from phidata.storage.source import Root
from phidata.storage.tables import Table, open_table

if TYPE_CHECKING:
    from phidata.conversion.converter import Row

NUM_REMEMBERED = 64  # images that rows near one another share, such as a page with ten questions

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FORBIDDEN = re.compile(r"[\\\x00-\x1f]")
_SUFFIXES = {"jpg": ("jpg", "jpeg"), "png": ("png",), "webp": ("webp",)}


class Clip(NamedTuple):
    """A video's images, how long it is, and how many frames it has. `seconds` is None when its file does not tell."""

    images: tuple[str, ...]
    seconds: float | None
    num_frames: int

    @property
    def metadata(self) -> dict[str, Any]:
        """What is worth keeping of it beside a row's turns: `seconds` and `fps`, where they are known."""
        if not self.seconds:
            return {}
        return {"seconds": round(self.seconds, 3), "fps": round(self.num_frames / self.seconds, 3)}


class Media:
    """The media of one row: read below the source folder, encoded by the options, kept until the row is known good.

    Each method returns the paths under which a turn names the images.
    """

    def __init__(self, root: Root, row: Row, options: Options) -> None:
        self._root = root
        self._row = row
        self._options = options
        self._numbered: dict[str, int] = {}
        self.encoded: dict[str, bytes] = {}

    def frames(self, file: str) -> tuple[str, ...]:
        """Take frames of a video as the options say, in order: `<row's name>.<k>.jpg`.

        Raises DataError when the file is no whole video or a wanted frame is damaged.
        """
        return self.video(file).images

    def video(self, file: str) -> Clip:
        """The same with what is known about the video. The frames of a row's second video count on after its first."""
        folder, name = self._find(file, "video")
        plan, decoder = self._options.frame_plan, self._options.decoder
        sample = sample_video(folder / name, plan, decoder=decoder, keep=self._encode_frame)
        images = (self._number(self._row.name, self._options.image_format, frame) for frame in sample.frames)
        return Clip(tuple(images), seconds=sample.facts.seconds, num_frames=sample.facts.num_decoded)

    def image(self, file: str) -> str:
        """Take an image file, given as the source names it, or as a `data:` URI.

        The file is looked for below --images when that was given, else beside the row's file, then below the source
        folder, whose own name may stand before the path. Its path is kept: `a/1.jpg` becomes `<split>/a/1.jpg` (as
        it is when it begins with the split's name), `a/1.png` written as JPEG `<split>/a/1.png.jpg`. Rows that name
        the same file share the image. Raises DataError when it is missing or can not be decoded.
        """
        if file.startswith("data:"):
            return self.embedded(_data_of(file))
        folder, name = self._find(file, "image")
        encoded = _encoded(folder / name, self._options)
        return self._add(_image_path(self._row.split, folder, name, encoded.suffix), encoded.data)

    def embedded(self, data: bytes | None, *, name: str | None = None) -> str:
        """Take an image that stands in the source as its bytes: `<name>.<k>.jpg`, by default the row's name.

        Rows that give the same name share the images. Raises DataError when there are no bytes or they can not be
        decoded.
        """
        if data is None:
            raise DataError("its image has no bytes")
        encoded = reencode(data, **self._options.encoding)
        return self._number(name or self._row.name, encoded.suffix, encoded.data)

    def text(self, file: str) -> str:
        """Read a text file, looked for as an image is. Raises DataError when it is missing or not UTF-8."""
        folder, name = self._find(file, "text")
        try:
            return (folder / name).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"its text {file!r} is not UTF-8 ({error.reason} at byte {error.start})") from error

    def record(self) -> dict[str, Any]:
        """Read the row's own record from its table (Parquet, Arrow, csv, …) again, with its bytes."""
        assert self._row.line is not None
        return _table(self._root.path / self._row.file).row(self._row.line)

    def read(self, file: str, offset: int, num_bytes: int) -> bytes:
        """Read a piece of a file below the source folder, such as a member of a tar; -1 bytes are all that follow."""
        path = f"{self._root.path}/{file}"
        stat = os.stat(path)  # noqa: PTH116 - as fast as can be: it is asked for each row
        wanted = num_bytes if num_bytes >= 0 else stat.st_size - offset
        return _opened(path, stat.st_ino, stat.st_mtime_ns).read(offset, wanted)

    def _find(self, file: str, kind: str) -> tuple[Path, str]:
        """The folder that a file was found in, and its path below that."""
        if _URL.match(file):
            raise DataError(f"its {kind} {file[:120]!r} is a URL; download it and name the file")
        name = posixpath.normpath(file) if file else ""
        if not name or name.startswith(("/", "../")) or name == ".." or "\0" in name:
            raise DataError(f"its {kind} {file!r} is no relative path that stays below its folder; pass --images DIR")
        for folder, below in self._candidates(name):
            if (folder / below).is_file():
                return folder, below
            if (folder / below).exists():
                raise DataError(f"its {kind} {file!r} is a folder or no regular file")
        if self._root.images is not None:
            raise DataError(f"its {kind} {file!r} is missing in {self._root.images}")
        raise DataError(f"its {kind} {file!r} is missing in {self._root.name}")

    def _candidates(self, name: str) -> list[tuple[Path, str]]:
        if self._root.images is not None:
            return [(self._root.images, name.removeprefix(self._root.images_prefix))]
        beside = posixpath.normpath(posixpath.join(posixpath.dirname(self._row.file), name))
        found = [(self._root.path, beside), (self._root.path, name)]
        top, _, rest = name.partition("/")
        if rest and top == self._root.path.name:
            found.append((self._root.path, rest))
        return [(folder, below) for folder, below in found if not below.startswith("..")]

    def _encode_frame(self, image: Image) -> bytes:
        scaled = scale_down(image, self._options.max_side)
        return encode(scaled, self._options.image_format, quality=self._options.quality)

    def _number(self, name: str, suffix: str, data: bytes) -> str:
        number = self._numbered.get(name, 0)
        self._numbered[name] = number + 1
        return self._add(f"{name}.{number}.{suffix}", data)

    def _add(self, path: str, data: bytes) -> str:
        self.encoded[path] = data
        return path


@lru_cache(maxsize=NUM_REMEMBERED)
def _encoded(path: Path, options: Options) -> Encoded:
    return reencode(path, **options.encoding)


class _SourceFile:
    """A file that is open for as long as anything refers to it."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, offset: int, num_bytes: int) -> bytes:
        return os.pread(self._descriptor, num_bytes, offset)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


@lru_cache(maxsize=4)
def _opened(path: str, _inode: int, _changed: int) -> _SourceFile:
    """One of the last files of the source that were read from: many rows lie in one, near one another."""
    return _SourceFile(path)


@lru_cache(maxsize=4)
def _table(path: Path) -> Table:
    return open_table(path)


def _image_path(split: str, folder: Path, name: str, suffix: str) -> str:
    """What an image is called: never as another file of the same folder would be, which may be an image too."""
    path = _FORBIDDEN.sub(lambda found: f"%{ord(found[0]):02X}", name)
    while path != name and os.path.exists(folder / path):  # noqa: PTH110 - as below
        path = f"{path}%"
    if path.rpartition(".")[2].lower() not in _SUFFIXES[suffix]:
        path = f"{path}.{suffix}"
        while os.path.exists(folder / path):  # noqa: PTH110 - a name that is too long is that of no file
            path = f"{path}.{suffix}"
    if not path.startswith(f"{split}/"):
        path = f"{split}/{path}"
        while os.path.exists(folder / path):  # noqa: PTH110 - a name that is too long is that of no file
            path = f"{split}/{path}"
    return path


def _data_of(uri: str) -> bytes:
    """The bytes of a `data:` URI (RFC 2397)."""
    head, comma, body = uri[5:].partition(",")
    try:
        if comma and head.endswith(";base64"):
            return base64.b64decode(body, validate=True)
    except ValueError as error:  # binascii.Error, or letters that are not ASCII
        raise DataError(f"its image is a data: URI that is not base64 ({error})") from error
    if not comma:
        raise DataError("its image is a data: URI without data")
    return unquote_to_bytes(body)
