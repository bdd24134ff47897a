"""Ids that stand twice: known only when all rows are read, found with 8 bytes a row and without false alarms."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from phidata.diagnostics import Diagnostic, row_rules
from phidata.diagnostics.excerpt import quoted
from phidata.validation.id_hashes import Repeated
from phidata.validation.row import Row, find_row
from phidata.validation.scan import Fault
from phidata.validation.shards import RowRange
from phidata.validation.task import Range, range_lines


class IdIndex:
    """The ids of a data set, kept as hashes. Equal hashes are only a suspicion: those lines are then read again."""

    def __init__(self, range_bytes: int) -> None:
        self._range_bytes = range_bytes
        self._hashes = array("q")
        self._ranges: list[tuple[Range, int, int]] = []  # each with its first line's number, and place in _hashes

    def begin(self, rows: Range, first_line: int) -> None:
        """What is added from now on are the ids of this range of a file."""
        self._ranges.append((rows, first_line, len(self._hashes)))

    def add(self, hashes: array[int]) -> None:
        """Take in the hashes of ids, one for each line or row."""
        self._hashes.extend(hashes)

    def duplicates(self) -> Iterator[Diagnostic]:
        """A finding for each row whose id an earlier row has, in order."""
        if not self._hashes:
            return
        first: dict[str, int] = {}  # place in _hashes of the first row with an id
        texts: dict[tuple[str, str, int], int] = {}  # and of the first with an id, path and hash of its text
        for place, row in self._suspects():
            assert row.id is not None
            same = texts.setdefault((row.id, row.path, hash(row.text)), place)
            is_copy = same != place
            earlier = first.setdefault(row.id, place)
            if earlier != place:
                yield _duplicate(row, row.id, self._name(same if is_copy else earlier, row.path), is_copy=is_copy)

    def _suspects(self) -> Iterator[tuple[int, Row]]:
        """The rows whose hash is not the only one of its kind, read again, each with its place in the data set."""
        repeated = Repeated(self._hashes)
        if not repeated:
            return
        ends = [start for _, _, start in self._ranges[1:]] + [len(self._hashes)]
        for (rows, first_line, start), end in zip(self._ranges, ends, strict=True):
            if indices := repeated.places(start, end):
                read = range_lines(rows, self._range_bytes)
                in_shard = isinstance(rows, RowRange)
                for index in indices:
                    number = first_line + index
                    yield start + index, find_row(read[index], path=rows.path, number=number, in_shard=in_shard)

    def _name(self, place: int, path: str) -> str:
        """What a finding in the file `path` calls the row at a place."""
        rows, first_line, start = self._ranges[bisect_right(self._ranges, place, key=lambda entry: entry[2]) - 1]
        number = first_line + place - start
        if isinstance(rows, RowRange):
            return f"row {number}" if rows.path == path else f"{rows.path}: row {number}"
        return f"line {number}" if rows.path == path else f"{rows.path}:{number}"


def _duplicate(row: Row, id_: str, earlier: str, *, is_copy: bool) -> Diagnostic:
    start, end = row.scan.spans["id",]
    message = f"the id {quoted(id_)} is also that of {earlier}"
    help = "the rows are the same; delete the copy" if is_copy else ""
    fault = Fault(rule=row_rules.DUPLICATE_ID, start=start, end=end, path=("id",), message=message, help=help)
    return row.diagnostic(fault, fix="safe" if is_copy and not row.in_shard else None)
