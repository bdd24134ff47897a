"""WebDataset shards: a tar in which the members of a row follow each other: `<key>.json`, the row as in a jsonl file,
then its images in reading order, `<key>.0.jpg`, `<key>.1.jpg`, …"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.annotations import UNREADABLE
from phidata.storage.offsets import find_offsets, forget_offsets
from phidata.storage.random_access import RandomAccessFile
from phidata.storage.tar import BLOCK, END, Member, header, is_size, members, padding
from phidata.storage.unnamed import UnnamedFile

MAX_KEY = 80  # so that a member's name always has room in its header

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_MEMBER = re.compile(r"((?:.*/)?[^./]+)\.(?:json|([0-9]{1,5})\.[A-Za-z0-9]+)")
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpg"),
    (b"\x89PNG\r\n", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
    (b"P5", "pgm"),
    (b"P6", "ppm"),
)

_MEMBERS = "members"
_ROW = -1  # the number of a row's json among its images
_ABSENT = (-1, 0)

_decode = msgspec.json.Decoder(Conversation).decode


def key_of(row_id: str) -> str:
    """The key of a row: its id, when that has only letters, digits, '_' and '-' and is not long, else as much of it as
    can stand in a key, and a hash, so that two ids never have one key."""
    safe = _UNSAFE.sub("_", row_id)
    if safe == row_id and len(row_id) <= MAX_KEY:
        return row_id
    digest = hashlib.sha256(row_id.encode()).hexdigest()[:16]
    return f"{safe[: MAX_KEY - 17]}-{digest}"


def image_suffix(data: bytes) -> str:
    """The suffix by which readers of WebDataset know what an image is, from its content."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "avif"
    return next((suffix for signature, suffix in _SIGNATURES if data.startswith(signature)), "bin")


class WebDatasetShardFile:
    """One tar being written."""

    def __init__(self, folder: Path) -> None:
        self.file = UnnamedFile(folder)
        self._last_id: str | None = None

    def add(self, row: Conversation, line: bytes, images: Sequence[bytes]) -> None:
        if row.id == self._last_id:
            raise DataError(f"two rows in a row have the id {row.id!r}; readers of a tar would take them for one")
        self._last_id = row.id
        key = key_of(row.id)
        self._add_member(f"{key}.json", line)
        for number, data in enumerate(images):
            self._add_member(f"{key}.{number}.{image_suffix(data)}", data)

    def close(self) -> None:
        self.file.write(END)
        self.file.close()

    def discard(self) -> None:
        self.file.discard()

    def _add_member(self, name: str, data: bytes) -> None:
        self.file.write(header(name, len(data)))
        self.file.write(data)
        self.file.write(padding(len(data)))


class WebDatasetShard:
    """One tar, read by an index of its headers: 16 bytes of memory a member.

    With `trust_kept` the index may be one that was kept from an earlier opening; then the header of whatever is read is
    looked at, and DataError raised where it is another.
    """

    def __init__(self, path: Path, *, trust_kept: bool = False) -> None:
        self.path = path
        self._file = RandomAccessFile(path)
        self._trust_kept = trust_kept
        if trust_kept:
            numbers = find_offsets(path, _MEMBERS, lambda: [_member_places(path)], is_summed=True).numbers
        else:
            numbers = memoryview(_member_places(path).tobytes()).cast("q")
        self._num_rows = numbers[0]
        self._rows = numbers[1 : 1 + 2 * self._num_rows]
        self._bounds = numbers[1 + 2 * self._num_rows : 2 + 3 * self._num_rows]
        self._images = numbers[2 + 3 * self._num_rows :]

    def __len__(self) -> int:
        return self._num_rows

    def row(self, number: int) -> Conversation:
        line = self.line(number)
        try:
            return _decode(line)
        except UNREADABLE as error:
            raise DataError(
                f"{self.place(number)}: its json is not a conversation ({error}); make the folder again"
            ) from error

    def rows(self, numbers: range) -> Iterator[Conversation]:
        return map(self.row, numbers)

    def line(self, number: int) -> bytes:
        """The json of a row as it stands in the tar."""
        return self.content(self._rows[2 * number], self._rows[2 * number + 1])

    def images(self, number: int, num_images: int) -> list[bytes]:
        found = self.places(number)[:num_images]
        found += [_ABSENT] * (num_images - len(found))
        for path, (offset, _) in zip(self.row(number).images, found, strict=False):
            if offset < 0:
                raise DataError(f"image {path!r} is not in the tar; make the folder again")
        return [self.content(offset, num_bytes) for offset, num_bytes in found]

    def missing_images(self, number: int) -> list[str]:
        paths = self.row(number).images
        places = self.places(number)
        return [path for image, path in enumerate(paths) if image >= len(places) or places[image][0] < 0]

    def place(self, number: int) -> str:
        return f"{self.path}: row {number + 1}"

    def places(self, number: int) -> list[tuple[int, int]]:
        """Where the images of a row lie, and how long they are; -1 for one that is not in the tar."""
        numbers = self._images[2 * self._bounds[number] : 2 * self._bounds[number + 1]].tolist()
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def content(self, offset: int, num_bytes: int) -> bytes:
        """The content of a member, whose header says that it has so many bytes."""
        found = self._file.read(offset - BLOCK, BLOCK + num_bytes) if offset >= BLOCK and num_bytes >= 0 else b""
        if len(found) != BLOCK + num_bytes or not is_size(found, num_bytes):
            forget_offsets(self.path, _MEMBERS)
            raise DataError(f"{self.path} has changed since it was opened; open it again")
        return found[BLOCK:]

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), trust_kept=self._trust_kept), (self.path,)


def _member_places(path: Path) -> npt.NDArray[np.int64]:
    """The number n of rows; where their jsons lie, (n, 2); the bounds of their images among all, (n + 1,); where those
    lie, (num_images, 2): all behind each other. A place is an offset and a number of bytes."""
    index = _Index(path)
    for member in members(path):
        index.add(member)
    index.end_row()
    return np.concatenate([[len(index.rows) // 2], index.rows, index.bounds, index.images]).astype(np.int64)


class _Index:
    """Where the rows and images of a tar lie, as far as its members have been added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows, self.images, self.bounds = array("q"), array("q"), array("q", [0])
        self._key = ""
        self._places: dict[int, tuple[int, int]] = {}  # of the members of one row, by the numbers of their images

    def add(self, member: Member) -> None:
        key, number = self._split(member.name)
        if key != self._key:
            self.end_row()
            self._key = key
        if number in self._places:
            raise DataError(f"{self._path} has the member {member.name!r} twice; make the folder again")
        self._places[number] = member.offset, member.num_bytes

    def end_row(self) -> None:
        """End the row of the member that was added last."""
        if not (places := self._places):
            return
        if (row := places.pop(_ROW, None)) is None:
            missing = self._key + ".json"
            raise DataError(
                f"{self._path} lacks the member {missing!r}, the row of these images; make the folder again"
            )
        self.rows.extend(row)
        for number in range(max(places, default=-1) + 1):
            self.images.extend(places.get(number, _ABSENT))
        self.bounds.append(len(self.images) // 2)
        places.clear()

    def _split(self, name: str) -> tuple[str, int]:
        """The key of a member, and the number of its image; _ROW for the json."""
        match = _MEMBER.fullmatch(name.removeprefix("./"))
        if match is None:
            raise DataError(
                f"{self._path} does not hold conversations: "
                f"its member {name!r} is neither <key>.json nor <key>.<number>.<suffix>"
            )
        key, number = match.groups()
        return key, _ROW if number is None else int(number)
