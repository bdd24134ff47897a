"""WebDataset shards: a tar in which the members of a row follow each other: `<key>.json`, the row as in a jsonl file,
then its images in reading order, `<key>.0.jpg`, `<key>.1.jpg`, …"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import numpy as np

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.annotations import UNREADABLE
from phidata.storage.random_access import RandomAccessFile
from phidata.storage.tar import END, Member, header, members, padding
from phidata.storage.unnamed import UnnamedFile

MAX_KEY = 80  # so that a member's name always has room in its header

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_MEMBER = re.compile(r"(?P<key>(?:.*/)?[^./]+)\.(?:(?P<json>json)|(?P<number>[0-9]{1,5})\.[A-Za-z0-9]+)")
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
    """One tar, read by an index of its headers: 16 bytes of memory a member."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = RandomAccessFile(path)
        rows: list[tuple[int, int]] = []
        images: list[tuple[int, int]] = []
        bounds = [0]
        for key, own in groupby(members(path), lambda member: _split_name(path, member.name)[0]):
            row, pictures = _members_of(path, key, list(own))
            rows.append(row)
            images += pictures
            bounds.append(len(images))
        self._rows = np.array(rows, np.int64).reshape(-1, 2)
        self._images = np.array(images, np.int64).reshape(-1, 2)
        self._bounds = np.array(bounds, np.int64)

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, number: int) -> Conversation:
        try:
            return _decode(self._file.read(*map(int, self._rows[number])))
        except UNREADABLE as error:
            raise DataError(
                f"{self.place(number)}: its json is not a conversation ({error}); make the folder again"
            ) from error

    def rows(self, numbers: range) -> Iterator[Conversation]:
        return map(self.row, numbers)

    def images(self, number: int, num_images: int) -> list[bytes]:
        found = self._members(number, num_images)
        for path, (offset, _) in zip(self.row(number).images, found, strict=False):
            if offset < 0:
                raise DataError(f"image {path!r} is not in the tar; make the folder again")
        return [self._file.read(offset, num_bytes) for offset, num_bytes in found]

    def missing_images(self, number: int) -> list[str]:
        paths = self.row(number).images
        found = self._members(number, len(paths))
        return [path for path, (offset, _) in zip(paths, found, strict=True) if offset < 0]

    def place(self, number: int) -> str:
        return f"{self.path}: row {number + 1}"

    def _members(self, number: int, num_images: int) -> list[tuple[int, int]]:
        """Where the first images of a row lie; -1 for what is not in the tar."""
        begin, end = self._bounds[number : number + 2]
        found = [(int(offset), int(num_bytes)) for offset, num_bytes in self._images[begin:end][:num_images]]
        return found + [(-1, 0)] * (num_images - len(found))


def _split_name(path: Path, name: str) -> tuple[str, int]:
    """The key of a member, and the number of its image; -1 for the json."""
    match = _MEMBER.fullmatch(name.removeprefix("./"))
    if match is None:
        raise DataError(
            f"{path} does not hold conversations: its member {name!r} is neither <key>.json nor <key>.<number>.<suffix>"
        )
    return match["key"], -1 if match["json"] else int(match["number"])


def _members_of(path: Path, key: str, own: list[Member]) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Where the json of a row lies, and where its images do, in their order."""
    places: dict[int, tuple[int, int]] = {}
    for member in own:
        number = _split_name(path, member.name)[1]
        if number in places:
            raise DataError(f"{path} has the member {member.name!r} twice; make the folder again")
        places[number] = (member.offset, member.num_bytes)
    if -1 not in places:
        raise DataError(f"{path} lacks the member {key + '.json'!r}, the row of these images; make the folder again")
    return places[-1], [places.get(number, (-1, 0)) for number in range(max(places) + 1)]
