"""The rows of an Arrow shard that is mapped into memory, by the places of its buffers in the file: nothing is kept in
memory for a batch, and of a value nothing but itself is made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from phidata.storage.arrow import batches_of, damage, map_shard
from phidata.storage.column_rows import ColumnRows
from phidata.storage.offsets import find_offsets
from phidata.storage.row_columns import COLUMNS, arrays

_BATCHES = "batches"
_LARGE = (pa.LargeListArray, pa.LargeStringArray, pa.LargeBinaryArray)  # with offsets of 64 bits
_FIELDS = 5  # of a column: the place of its offsets, counted in offsets; 4 or 8, their size; where its content is; its
_WIDTH = _FIELDS * len(COLUMNS)  # length, of lists the number of all entries; where its bitmap is, or instead of it:
_ALL, _NONE = -1, -2  # every value is there, none is
_LEADS_OUT = "an offset leads out of its record batch"
_NOT_IN_THE_FILE = np.array([-1], np.int64)


def mapped_rows(path: Path) -> MappedRows | None:
    """The rows of one Arrow shard. None when its buffers do not lie in the file as they are: it is compressed, or no
    writer that we know made it.

    Raises DataError for a file that is cut short, or that does not hold conversations.
    """
    content = map_shard(path)
    numbers = find_offsets(path, _BATCHES, lambda: [_places(content, path)], is_summed=True).numbers
    return MappedRows(path, content, numbers) if numbers[0] >= 0 else None


class MappedRows(ColumnRows):
    """One shard. Memory: 450 bytes a batch, of which one holds a megabyte or a thousand rows."""

    def __init__(self, path: Path, content: pa.Buffer, numbers: memoryview[int]) -> None:
        super().__init__(path)
        num_batches = numbers[0]
        self._bounds = numbers[1 : 2 + num_batches].tolist()  # the rows of batch k are bounds[k] … bounds[k + 1] - 1
        self._places = numbers[2 + num_batches :]
        self._views = _Views(content)
        self._last = _MappedColumns(self._views, range(0), [])

    def __len__(self) -> int:
        return self._bounds[-1]

    def _text_of(self, number: int) -> tuple[_MappedColumns, int]:
        columns = self._last
        if number not in columns.rows:
            batch = bisect_right(self._bounds, number) - 1
            rows = range(self._bounds[batch], self._bounds[batch + 1])
            places = self._places[batch * _WIDTH : (batch + 1) * _WIDTH].tolist()
            columns = self._last = _MappedColumns(self._views, rows, places)
        return columns, number - columns.rows.start

    def _images_of(self, number: int) -> tuple[_MappedColumns, int]:
        return self._text_of(number)

    def __reduce__(self) -> tuple[Any, ...]:
        return mapped_rows, (self.path,)


class _Views:
    """The bytes of a file, and the same as offsets of 32 and of 64 bits."""

    __slots__ = ("content", "ints", "longs")

    def __init__(self, content: pa.Buffer) -> None:
        self.content = memoryview(content)
        num_bytes = len(self.content)
        self.ints = self.content[: num_bytes // 4 * 4].cast("i")
        self.longs = self.content[: num_bytes // 8 * 8].cast("q")


class _MappedColumns:
    """The columns of one batch. An offset that leads out of its column is a ValueError, for nobody has looked at it."""

    __slots__ = ("_content", "_ints", "_longs", "_places", "rows")

    def __init__(self, views: _Views, rows: range, places: Sequence[int]) -> None:
        self.rows = rows
        self._content, self._ints, self._longs = views.content, views.ints, views.longs
        self._places = places

    def text(self, column: int, number: int) -> str | None:
        places, first = self._places, column * _FIELDS
        if places[first + 4] != _ALL and self._is_null(places[first + 4], number):
            return None
        offsets = self._ints if places[first + 1] == 4 else self._longs
        at = places[first] + number
        begin, end = offsets[at], offsets[at + 1]
        if not 0 <= begin <= end <= places[first + 3]:
            raise ValueError(_LEADS_OUT)
        start = places[first + 2]
        return str(self._content[start + begin : start + end], "utf-8")

    def content(self, column: int, number: int) -> memoryview | None:
        entries = self.entries(column, number)
        if entries is None:
            return None
        start = self._places[column * _FIELDS + 2]
        return self._content[start + entries.start : start + entries.stop]

    def entries(self, column: int, number: int) -> range | None:
        places, first = self._places, column * _FIELDS
        if places[first + 4] != _ALL and self._is_null(places[first + 4], number):
            return None
        offsets = self._ints if places[first + 1] == 4 else self._longs
        at = places[first] + number
        begin, end = offsets[at], offsets[at + 1]
        if not 0 <= begin <= end <= places[first + 3]:
            raise ValueError(_LEADS_OUT)
        return range(begin, end)

    def _is_null(self, bitmap: int, number: int) -> bool:
        return bitmap == _NONE or not self._content[bitmap + (number >> 3)] >> (number & 7) & 1


def _places(content: pa.Buffer, path: Path) -> npt.NDArray[np.int64]:
    """The number n of batches; the bounds of their rows, (n + 1,); the places of their columns, (n, _WIDTH)."""
    bounds, places = [0], list[int]()
    for number, batch in enumerate(batches_of(content, path)):
        try:
            batch.validate()  # that the buffers are as long as they have to be
        except pa.ArrowException as error:
            raise damage(path, number, error) from error
        bounds.append(bounds[-1] + batch.num_rows)
        for array in arrays(batch):
            found = _place(array, content)
            if found is None:
                return _NOT_IN_THE_FILE
            places += found
    return np.array([len(bounds) - 1, *bounds, *places], np.int64)


def _place(array: pa.Array | None, content: pa.Buffer) -> tuple[int, ...] | None:
    """The _FIELDS of one column of one batch; None when its buffers are not in the file, or oddly so."""
    if array is None or array.null_count == len(array):
        return 0, 4, 0, 0, _NONE
    validity, offsets, data = array.buffers()[:3]
    size = 8 if isinstance(array, _LARGE) else 4
    is_list = pa.types.is_nested(array.type)
    begin = _within(offsets, content)
    bitmap = _within(validity, content) if array.null_count else _ALL
    start = 0 if is_list or data is None or not data.size else _within(data, content)
    if begin is None or begin % size or bitmap is None or start is None or array.offset:
        return None
    length = len(array.values) if is_list else 0 if data is None else data.size
    return begin // size, size, start, length, bitmap


def _within(buffer: pa.Buffer, content: pa.Buffer) -> int | None:
    begin = int(buffer.address - content.address)
    return begin if 0 <= begin <= content.size - buffer.size else None
