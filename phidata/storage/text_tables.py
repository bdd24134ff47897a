"""Tables that are text: csv, tsv and JSON records, read line by line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from phidata.errors import DataError
from phidata.storage.annotations import check_encoding, json_objects

MAX_KEYED_ROWS = 100  # of JSON records, whose keys may differ from one to the next
MAX_FIELD = 1 << 24  # characters; what a whole row may have, where the module itself stops at 131 072

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


class _Line(NamedTuple):
    """One row of a text file; `problem` says why it can not be read, then it is empty."""

    number: int
    value: dict[str, Any]
    problem: str | None = None


class TextTable:
    """A csv, tsv or JSON file. One row is in memory at a time; going back reads the file anew.

    In csv and tsv alike a field that begins with a quote ends with one, and a quote in it is doubled (RFC 4180).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: Iterator[_Line] | None = None
        self._last = 0
        self.columns: tuple[str, ...] = tuple(self._find_columns())

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        for number, value, _ in self._read():
            yield number, value if columns is None else {name: value[name] for name in columns if name in value}

    def row(self, number: int) -> dict[str, Any]:
        if self._lines is None or number <= self._last:
            self._lines = self._read()
        for line in self._lines:
            self._last = line.number
            if line.number == number:
                if line.problem is not None:
                    raise DataError(line.problem)
                return line.value
        self._lines = None
        raise DataError(f"{self._path.name} has no row that begins on line {number}")

    def _find_columns(self) -> dict[str, None]:
        if self._path.suffix.lower() in _SEPARATORS:
            return dict.fromkeys(self._header(self._records()))
        return dict.fromkeys(name for line in islice(self._read(), MAX_KEYED_ROWS) for name in line.value)

    def _read(self) -> Iterator[_Line]:
        if self._path.suffix.lower() not in _SEPARATORS:
            for entry in json_objects(self._path):
                yield _Line(*entry)
            return
        records = self._records()
        header = self._header(records)
        for number, fields in records:
            if isinstance(fields, str):
                yield _Line(number, {}, f"it is no row of the table ({fields}); mend the file")
            elif len(fields) != len(header):
                yield _Line(number, {}, f"it has {len(fields)} fields, the header has {len(header)}; mend the file")
            else:
                yield _Line(number, dict(zip(header, fields, strict=True)))

    def _header(self, records: Iterator[tuple[int, list[str] | str]]) -> list[str]:
        number, header = next(records, (1, []))
        if isinstance(header, str):
            raise DataError(f"{self._path.name}:{number}: the header is no row of column names ({header}); mend it")
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise DataError(f"{self._path.name}:{number}: two columns are called {twice!r}; rename one")
        return header

    def _records(self) -> Iterator[tuple[int, list[str] | str]]:
        """The line on which each record begins, and its fields, or what is wrong with it; blank lines left out."""
        with self._path.open("rb") as file:
            check_encoding(self._path, file.read(4))
            file.seek(0)
            csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))
            reader = csv.reader(self._decoded(file), delimiter=_SEPARATORS[self._path.suffix.lower()], strict=True)
            while True:
                number = reader.line_num + 1
                try:
                    if fields := next(reader):
                        yield number, fields
                except StopIteration:
                    return
                except csv.Error as error:
                    yield number, str(error)

    def _decoded(self, lines: Iterator[bytes]) -> Iterator[str]:
        for number, line in enumerate(lines, start=1):
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{self._path.name}:{number}: byte 0x{line[error.start]:02x} is not UTF-8; save the file as UTF-8"
                ) from error
