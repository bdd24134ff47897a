"""Ids that stand twice: known only when all rows are read, found with 8 bytes a row and without false alarms."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from phidata.diagnostics import Diagnostic, row_rules
from phidata.diagnostics.excerpt import quoted
from phidata.validation.lines import LineRange, read_lines
from phidata.validation.row import Row, find_row
from phidata.validation.scan import Fault

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
        if not self._hashes:
            return
        first: dict[str, tuple[str, int]] = {}
        for row in self._suspects():
            assert row.id is not None
            path, number = first.setdefault(row.id, (row.path, row.number))
            if (path, number) != (row.path, row.number):
                yield _duplicate(row, row.id, f"line {number}" if path == row.path else f"{path}:{number}")

    def _suspects(self) -> Iterator[Row]:
        """The rows whose hash is not the only one of its kind, read again."""
        suspected = _repeated(self._hashes)
        position = 0
        for lines, first_line, num_lines in self._places:
            of_range = suspected[position : position + num_lines].nonzero()[0].tolist()
            position += num_lines
            if of_range:
                read = read_lines(lines, self._range_bytes).lines
                for index in of_range:
                    yield find_row(read[index], path=lines.path, number=first_line + index)


def _repeated(hashes: array[int]) -> npt.NDArray[np.bool_]:
    """Which of them are those of ids and stand more than once."""
    import numpy as np  # takes longer to import than most files take to check

    values = np.frombuffer(hashes, dtype=np.int64)
    ordered = np.sort(values)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    suspected: npt.NDArray[np.bool_] = np.isin(values, repeated) & (values != hash(None))
    return suspected


def _duplicate(row: Row, id_: str, earlier: str) -> Diagnostic:
    start, end = row.scan.spans["id",]
    message = f"the id {quoted(id_)} is also that of {earlier}"
    return row.diagnostic(Fault(rule=row_rules.DUPLICATE_ID, start=start, end=end, path=("id",), message=message))
