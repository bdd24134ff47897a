"""Ids that stand twice: known only when all rows are read, found with 8 bytes a row and without false alarms."""

from __future__ import annotations

from array import array
from bisect import bisect_right
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
        self._ranges: list[tuple[LineRange, int, int]] = []  # each with its first line's number, and place in _hashes

    def add(self, ids: Sequence[str | None], lines: LineRange, first_line: int) -> None:
        """Take in the ids of a range of a file, one for each of its lines."""
        self._ranges.append((lines, first_line, len(self._hashes)))
        self._hashes.extend(map(hash, ids))

    def duplicates(self) -> Iterator[Diagnostic]:
        """A finding for each row whose id an earlier row has, in order."""
        if not self._hashes:
            return
        first: dict[str, int] = {}  # by place in _hashes: a number takes less memory than a path and a line
        for place, row in self._suspects():
            assert row.id is not None
            earlier = first.setdefault(row.id, place)
            if earlier != place:
                yield _duplicate(row, row.id, self._name(earlier, row.path))

    def _suspects(self) -> Iterator[tuple[int, Row]]:
        """The rows whose hash is not the only one of its kind, read again, each with its place in the data set."""
        suspected = _repeated(self._hashes)
        ends = [start for _, _, start in self._ranges[1:]] + [len(self._hashes)]
        for (lines, first_line, start), end in zip(self._ranges, ends, strict=True):
            indices = suspected[start:end].nonzero()[0].tolist()
            if indices:
                read = read_lines(lines, self._range_bytes).lines
                for index in indices:
                    yield start + index, find_row(read[index], path=lines.path, number=first_line + index)

    def _name(self, place: int, path: str) -> str:
        """What a finding in the file `path` calls the row at a place."""
        lines, first_line, start = self._ranges[bisect_right(self._ranges, place, key=lambda entry: entry[2]) - 1]
        number = first_line + place - start
        return f"line {number}" if lines.path == path else f"{lines.path}:{number}"


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
