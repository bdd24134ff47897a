"""Tables: Parquet and Arrow files, csv, tsv and JSON records, read row by row with bounded memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import msgspec

from phidata.errors import DataError, UsageError
from phidata.storage.annotations import json_records

SUFFIXES = (".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
BATCH_ROWS = 32


class Table(Protocol):
    """One file of rows. Rows count from 1; in a text file a row's number is the line on which it begins."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every row with its number, without the bytes of Parquet and Arrow columns, which are read when needed."""
        ...

    def row(self, number: int) -> dict[str, Any]:
        """One row, whole. Cheap when rows are asked for in order."""
        ...


def open_table(path: Path) -> Table:
    """Open a table by its suffix. Raises UsageError for another suffix, DataError when the file is damaged."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return ParquetTable(path)
    if suffix in (".csv", ".tsv", ".jsonl", ".ndjson", ".json"):
        return TextTable(path)
    raise UsageError(f"{path.name} is no table; there are {', '.join(SUFFIXES)}")


class ParquetTable:
    """A Parquet file. One batch of rows is in memory at a time."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path.name} is no whole Parquet file ({error}); get it again") from error
        self.columns = tuple(self._file.schema_arrow.names)
        schema = self._file.schema
        leaves = [schema.column(index) for index in range(len(schema))]
        self._light = [leaf.path for leaf in leaves if not _holds_bytes(leaf)]
        self._batches: Iterator[Any] | None = None
        self._batch: Any = None
        self._start = self._end = 0

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        for batch in self._file.iter_batches(batch_size=1024, columns=self._light):
            for row in batch.to_pylist():
                number += 1
                yield number, row

    def row(self, number: int) -> dict[str, Any]:
        index = number - 1
        if self._batches is None or index < self._start:
            self._batches = self._file.iter_batches(batch_size=BATCH_ROWS)
            self._start = self._end = 0
        while index >= self._end:
            self._batch = next(self._batches)
            self._start, self._end = self._end, self._end + self._batch.num_rows
        found: dict[str, Any] = self._batch.slice(index - self._start, 1).to_pylist()[0]
        return found


class TextTable:
    """A csv, tsv or JSON file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[int, dict[str, Any]] | None = None
        first = next(self.rows(), None)
        self.columns = tuple(first[1]) if first else ()

    def rows(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if self._path.suffix.lower() in (".csv", ".tsv"):
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, delimiter="\t" if self._path.suffix.lower() == ".tsv" else ",")
                for row in reader:
                    yield reader.line_num, row
            return
        for line, data in json_records(self._path):
            yield line, msgspec.json.decode(data)

    def row(self, number: int) -> dict[str, Any]:
        if self._rows is None:
            self._rows = dict(self.rows())
        return self._rows[number]


def _holds_bytes(leaf: Any) -> bool:
    return bool(leaf.physical_type == "BYTE_ARRAY" and leaf.logical_type.type == "NONE")
