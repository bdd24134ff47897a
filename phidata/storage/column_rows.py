"""The rows of a shard with columns, Arrow or Parquet."""

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
from phidata.storage.batch_columns import BatchColumns
from phidata.storage.group_cache import GroupCache
from phidata.storage.row_columns import Columns, conversation, encoded_images

AHEAD_ROWS = 256  # of rows that follow each other, and perhaps of several groups, are read at once


class ColumnRows(ABC):
    """One shard."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def __len__(self) -> int: ...

    def row(self, number: int) -> Conversation:
        return self._one(*self._text_of(number), number)

    def rows(self, numbers: range) -> Iterator[Conversation]:
        return map(self.row, numbers)

    def images(self, number: int, num_images: int) -> list[bytes]:
        found = self._encoded(number)[:num_images]
        present = [bytes(data) for data in found if data is not None]
        if len(present) < num_images:
            path = self.row(number).images[found.index(None) if None in found else len(found)]
            raise DataError(f"image {path!r} has no bytes in the shard; make the folder again")
        return present

    def missing_images(self, number: int) -> list[str]:
        found = self._encoded(number)
        if None not in found:
            return []
        return [path for path, data in zip(self.row(number).images, found, strict=True) if data is None]

    def place(self, number: int) -> str:
        return f"{self.path}: row {number + 1}"

    @abstractmethod
    def _text_of(self, number: int) -> tuple[Columns, int]:
        """The columns that hold a row, perhaps without the bytes of its images, and its place in them."""

    @abstractmethod
    def _images_of(self, number: int) -> tuple[Columns, int]:
        """The columns that hold the images of a row, and its place in them."""

    def _encoded(self, number: int) -> list[memoryview | None]:
        try:
            return encoded_images(*self._images_of(number))
        except ValueError as error:
            raise self._fault(number, error) from error

    def _one(self, columns: Columns, place: int, number: int) -> Conversation:
        try:
            return conversation(columns, place)
        except ValueError as error:
            raise self._fault(number, error) from error

    def _fault(self, number: int, error: ValueError) -> DataError:
        return DataError(f"{self.place(number)}: this row is not a conversation ({error}); make the folder again")


class Groups(Protocol):
    """A file of record batches: row groups of Parquet, batches of an Arrow stream."""

    path: Path
    bounds: npt.NDArray[np.int64]  # (num_groups + 1,): the rows of group k are bounds[k] … bounds[k + 1] - 1

    def text(self, group: int) -> pa.RecordBatch:
        """A group with all columns, perhaps without the bytes of images."""

    def texts(self, first: int, last: int) -> pa.RecordBatch:
        """The groups `first` … `last` - 1 as one, as by `text`: of small ones that costs less."""

    def images(self, group: int) -> pa.RecordBatch:
        """A group with the bytes of images, perhaps without other columns."""

    @property
    def is_mapped(self) -> bool:
        """Whether groups lie in memory, so that reading one costs next to nothing."""


class GroupedRows(ColumnRows):
    """One shard that is read group by group; those that are wanted again come from a cache."""

    def __init__(self, groups: Groups, cache: GroupCache) -> None:
        super().__init__(groups.path)
        self._groups = groups
        self._cache = cache
        self._bounds: list[int] = groups.bounds.tolist()

    def __len__(self) -> int:
        return self._bounds[-1]

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

    def missing_images(self, number: int) -> list[str]:
        if not self._groups.is_mapped:
            return []  # to know it every image would have to be read
        return super().missing_images(number)

    def _ahead(self, first: int, last: int, numbers: range) -> Iterator[Conversation]:
        """Rows that lie in the groups `first` … `last` - 1, which are read at once."""
        try:
            columns = BatchColumns(self._groups.texts(first, last))
        except DataError:  # about one of them, which is told when those before it have been given
            yield from map(self.row, numbers)
            return
        for number in numbers:
            yield self._one(columns, number - self._bounds[first], number)

    def _text_of(self, number: int) -> tuple[Columns, int]:
        group = bisect_right(self._bounds, number) - 1
        columns = self._cache.get((self.path, "text", group), lambda: BatchColumns(self._groups.text(group)))
        return columns, number - self._bounds[group]

    def _images_of(self, number: int) -> tuple[Columns, int]:
        group = bisect_right(self._bounds, number) - 1
        columns = self._cache.get((self.path, "images", group), lambda: BatchColumns(self._groups.images(group)))
        return columns, number - self._bounds[group]

    def __reduce__(self) -> tuple[Any, ...]:
        return GroupedRows, (self._groups, self._cache)
