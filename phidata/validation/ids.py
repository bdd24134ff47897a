"""Ids that stand twice: known only when all rows are read, found with 8 bytes a row and without false alarms."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from phidata.diagnostics import Diagnostic, row_rules
from phidata.diagnostics.excerpt import quoted
from phidata.validation.lines import LineRange, read_lines
from phidata.validation.row import Row, find_row
from phidata.validation.scan import Fault


class IdIndex:
    """The ids of a data set, kept as hashes. Equal hashes are only a suspicion: those lines are then read again."""

    def __init__(self, range_bytes: int) -> None:
        self._range_bytes = range_bytes
        self._hashes = array("q")
        self._places: list[tuple[LineRange, int, int]] = []  # a range, its first line's number, how many lines it has

    def add(self, ids: Sequence[str | None], lines: LineRange, first_line: int) -> None:
        """Take in the ids of a range of a file, one for each of its lines."""
        self._hashes.extend(map(hash, ids))
        self._places.append((lines, first_line, len(ids)))

    def duplicates(self) -> Iterator[Diagnostic]:
        """A finding for each row whose id an earlier row has, in order."""
        first: dict[str, tuple[str, int]] = {}
        for row in self._suspects():
            if row.id is None:
                continue
            path, number = first.setdefault(row.id, (row.path, row.number))
            if (path, number) != (row.path, row.number):
                yield _duplicate(row, row.id, f"line {number}" if path == row.path else f"{path}:{number}")

    def _suspects(self) -> Iterator[Row]:
        """The rows whose hash is not the only one of its kind, read again."""
        suspected = _repeated(np.frombuffer(self._hashes, dtype=np.int64))
        position = 0
        for lines, first_line, num_lines in self._places:
            of_range = np.flatnonzero(suspected[position : position + num_lines])
            position += num_lines
            if of_range.size:
                read = read_lines(lines, self._range_bytes).lines
                for index in of_range.tolist():
                    yield find_row(read[index], path=lines.path, number=first_line + index)


def _repeated(values: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which values stand more than once."""
    ordered = np.sort(values)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(values, repeated) if repeated.size else np.zeros(values.shape, dtype=np.bool_)


def _duplicate(row: Row, id_: str, earlier: str) -> Diagnostic:
    start, end = row.scan.spans["id",]
    message = f"the id {quoted(id_)} is also that of {earlier}"
    return row.diagnostic(Fault(rule=row_rules.DUPLICATE_ID, start=start, end=end, path=("id",), message=message))
