"""The rows of a shard with columns, Arrow or Parquet, read group by group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.columns import conversations, image_bytes
from phidata.storage.group_cache import GroupCache

DENSE = 8  # of rows at least this close to each other, those between are read as well


class Groups(Protocol):
    """A file of record batches: row groups of Parquet, batches of an Arrow stream."""

    path: Path
    bounds: npt.NDArray[np.int64]  # (num_groups + 1,): the rows of group k are bounds[k] … bounds[k + 1] - 1

    def text(self, group: int) -> pa.RecordBatch:
        """A group with all columns, perhaps without the bytes of images."""

    def images(self, group: int) -> pa.RecordBatch:
        """A group with the bytes of images, perhaps without other columns."""

    @property
    def is_mapped(self) -> bool:
        """Whether groups lie in memory as they lie in the file, so that reading one costs next to nothing."""


class ColumnRows:
    """One shard."""

    def __init__(self, groups: Groups, cache: GroupCache) -> None:
        self.path = groups.path
        self._groups = groups
        self._cache = cache

    def __len__(self) -> int:
        return int(self._groups.bounds[-1])

    def row(self, number: int) -> Conversation:
        group, place = self._find(number)
        return self._one(self._text_of(group), place, number)

    def rows(self, numbers: range) -> Iterator[Conversation]:
        if not 1 <= numbers.step <= DENSE:
            yield from map(self.row, numbers)
            return
        while numbers:
            group, place = self._find(numbers[0])
            num_here = len(range(numbers[0], min(numbers.stop, int(self._groups.bounds[group + 1])), numbers.step))
            here, numbers = numbers[:num_here], numbers[num_here:]
            batch = self._text_of(group).slice(place, here[-1] - here[0] + 1)
            try:
                yield from list(conversations(batch))[:: here.step]
            except ValueError:  # in one of them, perhaps one that was not asked for
                yield from map(self.row, here)

    def images(self, number: int, num_images: int) -> list[bytes]:
        group, place = self._find(number)
        found: list[bytes | None] = image_bytes(self._images_of(group), place).slice(0, num_images).to_pylist()
        present = [data for data in found if data is not None]
        if len(present) < num_images:
            path = self.row(number).images[found.index(None) if None in found else len(found)]
            raise DataError(f"image {path!r} has no bytes in the shard; make the folder again")
        return present

    def missing_images(self, number: int) -> list[str]:
        if not self._groups.is_mapped:
            return []  # to know it every image would have to be read
        group, place = self._find(number)
        found = image_bytes(self._groups.images(group), place)
        if not found.null_count:
            return []
        return [path for path, data in zip(self.row(number).images, found, strict=True) if not data.is_valid]

    def place(self, number: int) -> str:
        return f"{self.path}: row {number + 1}"

    def _find(self, number: int) -> tuple[int, int]:
        """The group of a row, and its place in it."""
        group = int(np.searchsorted(self._groups.bounds, number, side="right")) - 1
        return group, number - int(self._groups.bounds[group])

    def _text_of(self, group: int) -> pa.RecordBatch:
        if self._groups.is_mapped:
            return self._groups.text(group)
        return self._cache.get((self.path, "text", group), lambda: self._groups.text(group))

    def _images_of(self, group: int) -> pa.RecordBatch:
        if self._groups.is_mapped:
            return self._groups.images(group)
        return self._cache.get((self.path, "images", group), lambda: self._groups.images(group))

    def _one(self, batch: pa.RecordBatch, place: int, number: int) -> Conversation:
        try:
            return next(conversations(batch.slice(place, 1)))
        except ValueError as error:
            raise DataError(
                f"{self.place(number)}: this row is not a conversation ({error}); make the folder again"
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return ColumnRows, (self._groups, self._cache)
