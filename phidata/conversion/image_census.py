"""All images that the rows name, on disk: their list, of which the manifest keeps number, bytes and hash."""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from phidata.conversion.outcome import ImageFile
from phidata.storage.manifest import ImageTree
from phidata.storage.tree import walk_files

NUM_BUCKETS = 256
MAX_WAITING = 3 * 1024  # numbers of a bucket in memory, three an image
GROUP = 1 << 20  # hashes of paths that are held at a time when the folder is compared


class Mention(NamedTuple):
    """An image where a row names it, in the order of the rows."""

    num_bytes: int
    sha256: str
    path: str


class ImageCensus:
    """Takes in every image that a row names. Memory: one bit for each, and a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._list = (folder / "images.list").open("wb")
        self._num = 0
        self._buckets = [array("q") for _ in range(NUM_BUCKETS)]

    def note(self, image: ImageFile) -> None:
        self._list.write(f"{image.num_bytes} {image.sha256}  {image.path}\n".encode())
        found = hash(image.path)
        bucket = self._buckets[found & (NUM_BUCKETS - 1)]
        bucket.extend((found, int.from_bytes(bytes.fromhex(image.sha256[:16]), "big", signed=True), self._num))
        self._num += 1
        if len(bucket) >= MAX_WAITING:
            self._spill(found & (NUM_BUCKETS - 1))

    def tree(self) -> ImageTree:
        """What the manifest says of the images. Raises TwoImagesError when one path stands for two."""
        self._list.flush()
        repeated = self._repeated()
        total, num, num_bytes = hashlib.sha256(), 0, 0
        for number, mention in enumerate(self._mentions()):
            if not repeated[number >> 3] & 1 << (number & 7):
                total.update(f"{mention.sha256}  {mention.path}\n".encode())
                num += 1
                num_bytes += mention.num_bytes
        return ImageTree(num=num, bytes=num_bytes, sha256=total.hexdigest())

    def unnamed(self, images: Path, num_named: int) -> Iterator[Path]:
        """The files below an image folder that no row names, given how many are named."""
        if sum(1 for _ in walk_files(images)) == num_named:
            return  # every image was there when its row was done
        for named in self._groups():
            first, last = named.buckets
            for parts in walk_files(images):
                found = hash("/".join(parts))
                if first <= found & (NUM_BUCKETS - 1) < last and found not in named.hashes:
                    yield images.joinpath(*parts)

    def close(self) -> None:
        self._list.close()

    def _repeated(self) -> bytearray:
        """A bit for each mention: whether the same image was named before."""
        bits = bytearray((self._num >> 3) + 1)
        unclear: set[int] = set()
        for bucket in range(NUM_BUCKETS):
            first: dict[int, int] = {}
            for path, content, number in self._triples(bucket):
                if path not in first:
                    first[path] = content
                    continue
                bits[number >> 3] |= 1 << (number & 7)
                if first[path] != content:
                    unclear.add(path)
        if unclear:
            self._tell_apart(unclear, bits)
        return bits

    def _tell_apart(self, unclear: set[int], bits: bytearray) -> None:
        """Look at the paths themselves whose hashes stand for different images."""
        first: defaultdict[str, str] = defaultdict(str)
        for number, mention in enumerate(self._mentions()):
            if hash(mention.path) not in unclear:
                continue
            if first[mention.path] not in ("", mention.sha256):
                raise TwoImagesError(mention.path)
            mask = 1 << (number & 7)
            bits[number >> 3] = bits[number >> 3] | mask if first[mention.path] else bits[number >> 3] & ~mask
            first[mention.path] = mention.sha256

    def _mentions(self) -> Iterator[Mention]:
        with (self._folder / "images.list").open("rb") as file:
            for line in file:
                num_bytes, sha256, path = line.decode().rstrip("\n").split(" ", 2)
                yield Mention(int(num_bytes), sha256, path[1:])

    def _triples(self, bucket: int) -> Iterator[tuple[int, int, int]]:
        """Of each mention the hashes of its path and of its content, and its number; in their order."""
        path = self._file(bucket)
        if path.exists():
            with path.open("rb") as file:
                while data := file.read(MAX_WAITING * 8):
                    yield from _in_threes(array("q", data))
        yield from _in_threes(self._buckets[bucket])

    def _groups(self) -> Iterator[_Named]:
        first, hashes = 0, set[int]()
        for bucket in range(NUM_BUCKETS):
            hashes.update(path for path, _, _ in self._triples(bucket))
            if len(hashes) >= GROUP or bucket == NUM_BUCKETS - 1:
                yield _Named((first, bucket + 1), hashes)
                first, hashes = bucket + 1, set()

    def _spill(self, number: int) -> None:
        with self._file(number).open("ab") as file:
            file.write(self._buckets[number])
        self._buckets[number] = array("q")

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:03}.images"


class TwoImagesError(Exception):
    """Two different images are called the same; the path of them."""


class _Named(NamedTuple):
    """The hashes of the paths that rows name, of some buckets: from the first to before the last."""

    buckets: tuple[int, int]
    hashes: set[int]


def _in_threes(numbers: array[int]) -> Iterator[tuple[int, int, int]]:
    values = iter(numbers)
    return zip(values, values, values, strict=True)
