"""The columns of a record batch in memory, straight from its buffers: through Arrow every value costs several
objects."""

from __future__ import annotations

import pyarrow as pa

from phidata.storage.row_columns import arrays

_LARGE = (pa.LargeListArray, pa.LargeStringArray, pa.LargeBinaryArray)  # with offsets of 64 bits


class BatchColumns:
    """The columns of one batch, which has been validated."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._columns = [
            None if array is None or array.null_count == len(array) else _Column(array) for array in arrays(batch)
        ]

    @property
    def nbytes(self) -> int:
        """How much memory the batch takes."""
        return int(self._batch.nbytes)

    def text(self, column: int, number: int) -> str | None:
        own = self._columns[column]
        if own is None or (own.validity is not None and own.is_null(number)):
            return None
        return str(own.content[own.bounds[number] : own.bounds[number + 1]], "utf-8")

    def content(self, column: int, number: int) -> memoryview | None:
        own = self._columns[column]
        if own is None or (own.validity is not None and own.is_null(number)):
            return None
        return own.content[own.bounds[number] : own.bounds[number + 1]]

    def entries(self, column: int, number: int) -> range | None:
        own = self._columns[column]
        if own is None or (own.validity is not None and own.is_null(number)):
            return None
        return range(own.bounds[number], own.bounds[number + 1])


class _Column:
    """Where the values of a column begin and end, which of them are null, and what they are, if not lists."""

    __slots__ = ("_shift", "bounds", "content", "validity")

    def __init__(self, array: pa.Array) -> None:
        validity, bounds, *content = array.buffers()
        ends = memoryview(b"" if bounds is None else bounds)  # of no values there need not be any
        self.bounds = (ends.cast("q") if isinstance(array, _LARGE) else ends.cast("i"))[array.offset :]
        self.content = memoryview(b"" if not content or content[0] is None else content[0])
        self.validity = memoryview(validity) if array.null_count else None
        self._shift = array.offset

    def is_null(self, number: int) -> bool:
        bit = number + self._shift
        return self.validity is not None and not self.validity[bit >> 3] >> (bit & 7) & 1
