"""WebDataset shards, whose rows are lines already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from phidata.storage.webdataset import WebDatasetShard
from phidata.validation.shards import RowRange

ROWS = 256  # of a range


class TarShard(WebDatasetShard):
    """A tar as ranges of rows."""

    def ranges(self) -> Iterator[RowRange]:
        for start in range(0, len(self), ROWS):
            yield RowRange(path=str(self.path), start=start, end=min(start + ROWS, len(self)))

    def lines(self, rows: RowRange) -> list[bytes]:
        found = (self.line(number) for number in range(rows.start, rows.end))
        return [line.replace(b"\n", b" ") for line in found]  # between values only: a string can not hold one

    def encoded(self, place: int) -> Sequence[bytes | None]:
        return [None if at < 0 else self.content(at, size) for at, size in self.places(place)]

    def lengths(self, place: int) -> Sequence[int | None]:
        return [None if at < 0 else size for at, size in self.places(place)]
