"""The rows of a shard with columns, Arrow or Parquet, read group by group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.batch_rows import BatchImages, BatchRows
from phidata.storage.group_cache import GroupCache

AHEAD_ROWS = 256  # of rows that follow each other, and perhaps of several groups, are read at once


class Groups(Protocol):
    """A file of record batches: row groups of Parquet, batches of an Arrow stream."""

    path: Path
    bounds: npt.NDArray[np.int64]  # (num_groups + 1,): the rows of group k are bounds[k] … bounds[k + 1] - 1

    def text(self, group: int) -> pa.RecordBatch:
        """A group with all columns, perhaps without the bytes of images."""

    def images(self, group: int) -> pa.RecordBatch:
        """A group with the bytes of images, perhaps without other columns."""


class RowGroups(Groups, Protocol):
    """Groups of which reading several at once costs less than one after the other."""

    def texts(self, first: int, last: int) -> pa.RecordBatch:
        """The groups `first` … `last` - 1 as one, as by `text`."""


class ColumnRows(ABC):
    """One shard."""

    def __init__(self, groups: Groups) -> None:
        self.path = groups.path
        self._bounds: list[int] = groups.bounds.tolist()

    def __len__(self) -> int:
        return self._bounds[-1]

    def row(self, number: int) -> Conversation:
        group = bisect_right(self._bounds, number) - 1
        return self._one(self._rows_of(group), number - self._bounds[group], number)

    @abstractmethod
    def rows(self, numbers: range) -> Iterator[Conversation]: ...

    def images(self, number: int, num_images: int) -> list[bytes]:
        found = self._encoded(number)[:num_images]
        present = [bytes(data) for data in found if data is not None]
        if len(present) < num_images:
            path = self.row(number).images[found.index(None) if None in found else len(found)]
            raise DataError(f"image {path!r} has no bytes in the shard; make the folder again")
        return present

    @abstractmethod
    def missing_images(self, number: int) -> list[str]: ...

    def place(self, number: int) -> str:
        return f"{self.path}: row {number + 1}"

    @abstractmethod
    def _rows_of(self, group: int) -> BatchRows: ...

    @abstractmethod
    def _images_of(self, group: int) -> BatchImages: ...

    def _encoded(self, number: int) -> list[memoryview | None]:
        group = bisect_right(self._bounds, number) - 1
        return self._images_of(group).of(number - self._bounds[group])

    def _one(self, rows: BatchRows, place: int, number: int) -> Conversation:
        try:
            return rows.row(place)
        except ValueError as error:
            raise DataError(
                f"{self.place(number)}: this row is not a conversation ({error}); make the folder again"
            ) from error


class MappedRows(ColumnRows):
    """One shard that lies in memory as it lies in the file; where the rows of a group lie is kept once it is known."""

    def __init__(self, groups: Groups) -> None:
        super().__init__(groups)
        self._groups = groups
        self._rows: dict[int, BatchRows] = {}
        self._images: dict[int, BatchImages] = {}

    def rows(self, numbers: range) -> Iterator[Conversation]:
        return map(self.row, numbers)

    def missing_images(self, number: int) -> list[str]:
        found = self._encoded(number)
        if None not in found:
            return []
        return [path for path, data in zip(self.row(number).images, found, strict=True) if data is None]

    def _rows_of(self, group: int) -> BatchRows:
        return self._rows.get(group) or self._rows.setdefault(group, BatchRows(self._groups.text(group)))

    def _images_of(self, group: int) -> BatchImages:
        return self._images.get(group) or self._images.setdefault(group, BatchImages(self._groups.images(group)))

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedRows, (self._groups,)


class ReadRows(ColumnRows):
    """One shard whose groups are read and unpacked, those that are wanted again from a cache."""

    def __init__(self, groups: RowGroups, cache: GroupCache) -> None:
        super().__init__(groups)
        self._groups = groups
        self._cache = cache

    def rows(self, numbers: range) -> Iterator[Conversation]:
        if numbers.step != 1:
            yield from map(self.row, numbers)
            return
        while numbers:
            first = bisect_right(self._bounds, numbers[0]) - 1
            last = max(first + 1, bisect_right(self._bounds, numbers[0] + AHEAD_ROWS) - 1)
            here = numbers[: self._bounds[last] - numbers[0]]
            yield from self._ahead(first, last, here)
            numbers = numbers[len(here) :]

    def missing_images(self, number: int) -> list[str]:  # noqa: ARG002 - to know it every image would have to be read
        return []

    def _ahead(self, first: int, last: int, numbers: range) -> Iterator[Conversation]:
        """Rows that lie in the groups `first` … `last` - 1, which are read at once."""
        try:
            rows = BatchRows(self._groups.texts(first, last))
        except DataError:  # about one of them, which is told when those before it have been given
            yield from map(self.row, numbers)
            return
        for number in numbers:
            yield self._one(rows, number - self._bounds[first], number)

    def _rows_of(self, group: int) -> BatchRows:
        return self._cache.get((self.path, "text", group), lambda: BatchRows(self._groups.text(group)))

    def _images_of(self, group: int) -> BatchImages:
        return self._cache.get((self.path, "images", group), lambda: BatchImages(self._groups.images(group)))

    def __reduce__(self) -> tuple[Any, ...]:
        return ReadRows, (self._groups, self._cache)
