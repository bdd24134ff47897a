"""Tables: Parquet and Arrow files, csv, tsv and JSON records, read row by row with bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from phidata.errors import UsageError
from phidata.regular import check_regular
from phidata.storage.column_tables import ArrowTable, ParquetTable
from phidata.storage.text_tables import TextTable

SUFFIXES = (".parquet", ".arrow", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")


class Table(Protocol):
    """One file of rows. Rows count from 1; in a text file a row's number is the line on which it begins, except where
    two rows of a JSON list begin on one."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every row with its number: all columns that hold no bytes, or only those that are named.

        A row that can not be read is empty here, and `row` says why. Raises DataError naming the file, and the row as
        far as it is known, when the file is damaged.
        """
        ...

    def row(self, number: int) -> dict[str, Any]:
        """One row, whole. Cheap when rows are asked for in order. Raises DataError when it can not be read."""
        ...


def open_table(path: Path) -> Table:
    """Open a table by its suffix. Raises UsageError for another suffix, DataError when the file is damaged."""
    suffix = check_regular(path).suffix.lower()
    if suffix == ".parquet":
        return ParquetTable(path)
    if suffix == ".arrow":
        return ArrowTable(path)
    if suffix in SUFFIXES:
        return TextTable(path)
    raise UsageError(f"{path.name} is no table; there are {', '.join(SUFFIXES)}")
