"""Which of any number of texts stand more than once."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

NUM_BUCKETS = 256
MAX_WAITING = 4096  # hashes of a bucket in memory


class Repeats:
    """Takes in the hash of each text and tells which came twice.

    A hash is eight bytes; those of a bucket lie in a file of its own when they are many, and are looked at bucket by
    bucket, so that the memory does not grow with their number: 8 MB, and what one bucket takes as a set.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._buckets = [array("q") for _ in range(NUM_BUCKETS)]
        self._spilled: set[int] = set()

    def add(self, text: str) -> None:
        found = hash(text)
        bucket = self._buckets[found & (NUM_BUCKETS - 1)]
        bucket.append(found)
        if len(bucket) == MAX_WAITING:
            self._spill(found & (NUM_BUCKETS - 1))

    def found(self) -> frozenset[int]:
        """The hashes that came more than once; two texts of one hash are possible, and very rare."""
        repeated: set[int] = set()
        for number in range(NUM_BUCKETS):
            seen: set[int] = set()
            for hashes in self._all_of(number):
                for one in hashes:
                    if one in seen:
                        repeated.add(one)
                    seen.add(one)
        return frozenset(repeated)

    def remove(self) -> None:
        """Remove the files."""
        for number in self._spilled:
            self._file(number).unlink()
        self._spilled.clear()

    def _all_of(self, number: int) -> Iterator[array[int]]:
        yield self._buckets[number]
        if number in self._spilled:
            with self._file(number).open("rb") as file:
                while data := file.read(MAX_WAITING * 8):
                    yield array("q", data)

    def _spill(self, number: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._spilled.add(number)
        with self._file(number).open("ab") as file:
            file.write(self._buckets[number])
        self._buckets[number] = array("q")

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:03}.hashes"
