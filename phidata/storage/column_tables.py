"""Tables of record batches, Parquet and Arrow files, read with bounded memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from phidata.diagnostics.excerpt import printable
from phidata.errors import DataError
from phidata.storage.annotations import UNREADABLE

BATCH_ROWS = 32
LISTED_ROWS = 1024
BUFFER_BYTES = 1 << 20  # without a buffer all of a row group is read at once

_NO_VALUE = (ValueError, OverflowError)  # what Python raises for a cell that Arrow holds; UnicodeDecodeError is one
_ARROW_FILE = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


class ColumnTable(ABC):
    """A file of record batches, read forward, one batch in memory at a time.

    Class labels, which the `datasets` library stores as numbers, are given by their names.
    """

    def __init__(self, path: Path, schema: Any) -> None:
        self._path = path
        self.columns: tuple[str, ...] = tuple(schema.names)
        self._light = [field.name for field in schema if not _holds_bytes(field.type)]
        self._classes = _class_names(schema)
        self._reader: Iterator[tuple[int, Any]] | None = None
        self._batch: Any = None
        self._start = self._end = 0

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        wanted = [name for name in self._light if columns is None or name in columns]
        for start, batch in self._guarded(self._batches(0, LISTED_ROWS, wanted)):
            for index, row in enumerate(_values(batch) if wanted else [{}] * batch.num_rows):
                yield start + index + 1, self._named(row)

    def row(self, number: int) -> dict[str, Any]:
        index = number - 1
        if self._reader is None or index < self._start or index > self._end + LISTED_ROWS:
            self._reader = self._guarded(self._batches(index, BATCH_ROWS, list(self.columns)))
            self._start = self._end = 0
        while index >= self._end:
            found = next(self._reader, None)
            if found is None:
                raise DataError(f"{self._path.name} has no row {number}")
            self._start, self._batch = found
            self._end = self._start + self._batch.num_rows
        return self._named(_cells(self._batch.slice(index - self._start, 1)))

    @abstractmethod
    def _batches(self, first: int, num_rows: int, columns: list[str]) -> Iterator[tuple[int, Any]]:
        """Batches of about `num_rows` rows with the index of their first row, from one that holds row `first` or comes
        before it."""

    def _guarded(self, batches: Iterator[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        import pyarrow as pa

        number = 1
        try:
            for start, batch in batches:
                number = start + batch.num_rows + 1
                yield start, batch
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self._path.name}: row {number} can not be read ({_first_line(error)}); get the file again"
            ) from error

    def _named(self, row: dict[str, Any]) -> dict[str, Any]:
        for column, names in self._classes.items():
            number = row.get(column)
            if isinstance(number, int):
                row[column] = names[number] if 0 <= number < len(names) else None
        return row


class ParquetTable(ColumnTable):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES)
            super().__init__(path, self._file.schema_arrow)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path.name} is no whole Parquet file ({_first_line(error)}); get it again") from error

    def _batches(self, first: int, num_rows: int, columns: list[str]) -> Iterator[tuple[int, Any]]:
        metadata = self._file.metadata
        start, groups = 0, list(range(metadata.num_row_groups))
        while groups and start + metadata.row_group(groups[0]).num_rows <= first:
            start += metadata.row_group(groups.pop(0)).num_rows
        for batch in self._file.iter_batches(batch_size=num_rows, row_groups=groups, columns=columns):
            yield start, batch
            start += batch.num_rows


class ArrowTable(ColumnTable):
    """An Arrow IPC file or stream."""

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path, self._open(path).schema)
        except UnicodeDecodeError as error:  # the name of a column
            raise DataError(f"{path.name} is no whole Arrow file ({_first_line(error)}); get it again") from error

    def _batches(self, first: int, num_rows: int, columns: list[str]) -> Iterator[tuple[int, Any]]:
        from phidata.storage.soundness import check_places

        start = 0
        reader = self._open(self._path)
        for batch in reader if hasattr(reader, "__iter__") else map(reader.get_batch, range(reader.num_record_batches)):
            check_places(batch)
            for offset in range(0, batch.num_rows, num_rows):
                if start + offset + num_rows > first:
                    yield start + offset, batch.slice(offset, num_rows).select(columns)
            start += batch.num_rows

    @staticmethod
    def _open(path: Path) -> Any:
        import pyarrow as pa

        try:
            source = pa.memory_map(str(path))
            if source.read(len(_ARROW_FILE)) == _ARROW_FILE:
                return pa.ipc.open_file(source)
            source.seek(max(0, source.size() - len(_END_OF_STREAM)))
            if source.size() and source.read() != _END_OF_STREAM:
                raise OSError("it does not end as a stream of record batches does")
            source.seek(0)
            return pa.ipc.open_stream(source)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path.name} is no whole Arrow file ({_first_line(error)}); get it again") from error


def _cells(row: Any) -> dict[str, Any]:
    """The one row of a batch. Raises DataError naming the column for what is no text or too large to be read."""
    cells: dict[str, Any] = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            cells[name] = column[0].as_py()
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise DataError(f"its {name!r} holds text that is not UTF-8 (byte 0x{byte:02x})") from error
        except _NO_VALUE as error:
            raise DataError(f"its {name!r} can not be read ({_first_line(error)})") from error
    return cells


def _values(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch; empty those with text that is not UTF-8 or with a time beyond the year 9999, which Arrow
    does not look at."""
    try:
        found: list[dict[str, Any]] = batch.to_pylist()
        return found
    except _NO_VALUE:
        if batch.num_rows == 1:
            return [{}]
        return [row for index in range(batch.num_rows) for row in _values(batch.slice(index, 1))]


def _holds_bytes(kind: Any) -> bool:
    """Whether there are bytes in a column of this Arrow type."""
    import pyarrow as pa

    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return bool(is_bytes) or any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))


def _class_names(schema: Any) -> dict[str, list[str]]:
    """The names of the classes of each column that holds class labels, from what `datasets` writes into a schema."""
    try:
        stored = msgspec.json.decode((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = stored["info"]["features"]
        return {
            name: list(feature["names"])
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (*UNREADABLE, KeyError, TypeError, AttributeError):
        return {}  # another program's schema


def _first_line(error: Exception) -> str:
    return printable(str(error).strip().partition("\n")[0]) or type(error).__name__
