"""The rows of a shard with columns, Arrow or Parquet, read group by group."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.columns import conversations, image_bytes

CACHE_BYTES = 1 << 25
DENSE = 8  # of rows at least this close to each other, those between are read as well


class Groups(Protocol):
    """A file of record batches: row groups of Parquet, batches of an Arrow stream."""

    path: Path
    bounds: npt.NDArray[np.int64]  # (num_groups + 1,): the rows of group k are bounds[k] … bounds[k + 1] - 1

    def text(self, group: int) -> pa.RecordBatch:
        """A group with all columns, perhaps without the bytes of images."""

    def images(self, group: int) -> pa.RecordBatch:
        """A group with the bytes of images, perhaps without other columns."""

    def knows_missing(self) -> bool:
        """Whether it costs next to nothing to tell which images are missing."""


class ColumnRows:
    """One shard. What was read last is kept, up to 32 MB of text and of images each."""

    def __init__(self, groups: Groups) -> None:
        self.path = groups.path
        self._groups = groups
        self._text = _Cache()
        self._pictures = _Cache()

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
        batch = self._pictures.get(group) or self._pictures.keep(group, self._groups.images(group))
        found: list[bytes | None] = image_bytes(batch, place).slice(0, num_images).to_pylist()
        present = [data for data in found if data is not None]
        if len(present) < num_images:
            path = self.row(number).images[found.index(None)]
            raise DataError(f"image {path!r} has no bytes in the shard; make the folder again")
        return present

    def missing_images(self, number: int) -> list[str]:
        if not self._groups.knows_missing():
            return []
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
        return self._text.get(group) or self._text.keep(group, self._groups.text(group))

    def _one(self, batch: pa.RecordBatch, place: int, number: int) -> Conversation:
        try:
            return next(conversations(batch.slice(place, 1)))
        except ValueError as error:
            raise DataError(
                f"{self.place(number)}: this row is not a conversation ({error}); make the folder again"
            ) from error

    def __reduce__(self) -> tuple[Any, ...]:
        return ColumnRows, (self._groups,)


class _Cache:
    """The groups that were used last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._groups: OrderedDict[int, pa.RecordBatch] = OrderedDict()
        self._num_bytes = 0

    def get(self, group: int) -> pa.RecordBatch | None:
        with self._lock:
            if group in self._groups:
                self._groups.move_to_end(group)
            return self._groups.get(group)

    def keep(self, group: int, batch: pa.RecordBatch) -> pa.RecordBatch:
        with self._lock:
            self._num_bytes += 0 if group in self._groups else batch.nbytes
            self._groups[group] = batch
            while self._num_bytes > CACHE_BYTES and len(self._groups) > 1:
                self._num_bytes -= self._groups.popitem(last=False)[1].nbytes
        return batch
