"""The ids of a data set as far as a repair has to know them: which numbers may become strings, and which rows can be
copies."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from phidata.diagnostics import Diagnostic, row_rules
from phidata.diagnostics.excerpt import quoted
from phidata.validation.inputs import DataSet
from phidata.validation.lines import MAX_LINE_BYTES, line_ranges, read_lines, without_marks
from phidata.validation.row import find_row
from phidata.validation.selection import Selection

RANGE_BYTES = 1 << 17


class WrittenId(NamedTuple):
    """The id of a row: the string, or a number as its digits stand there."""

    text: str
    is_number: bool


class _Id(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()


_read_row = msgspec.json.Decoder(_Id).decode
_read_text = msgspec.json.Decoder(str).decode


def written_id(line: bytes) -> WrittenId | None:
    """The id of a line, whatever else is wrong with it; None where there is none to be read."""
    try:
        raw = bytes(_read_row(line).id)
        if raw[:1] == b'"':
            return WrittenId(_read_text(raw), is_number=False)
        return WrittenId(raw.decode(), is_number=True) if raw[:1].isdigit() or raw[:1] == b"-" else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _scanned_id(line)


def _scanned_id(line: bytes) -> WrittenId | None:
    row = find_row(line, path="", number=1)
    if row.id is not None:
        return WrittenId(row.id, is_number=False)
    value = row.scan.value.get("id") if isinstance(row.scan.value, dict) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    start, end = row.scan.spans["id",]
    return WrittenId(row.text[start:end], is_number=True)


@dataclass(frozen=True, kw_only=True)
class RowIds:
    """The numbers that may not become strings, because another row would have that id, and the hashes of ids that stand
    more than once."""

    taken: frozenset[str]
    repeated: frozenset[int]


class IdCensus:
    """Looks at every id of a data set: eight bytes for a string, more for a number."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._numbers: dict[str, int] = {}  # the hash of the first row of each
        self._again: set[str] = set()
        self._apart: set[str] = set()

    def add(self, lines: Iterable[bytes], file: str) -> None:
        """Take in the ids of lines of a file."""
        for line in lines:
            match written_id(line):
                case WrittenId(text, False):
                    self._hashes.append(hash(text))
                case WrittenId(text, True):
                    row = hash((file, line.rstrip(b"\r")))
                    if text not in self._numbers:
                        self._numbers[text] = row
                        continue
                    self._again.add(text)
                    if row != self._numbers[text]:
                        self._apart.add(text)

    def result(self, *, copies_go: bool) -> RowIds:
        """The sums, when all rows were taken in; `copies_go` where rows that are copies are deleted."""
        import numpy as np  # takes longer to import than most files take to repair

        ordered = np.sort(np.frombuffer(self._hashes, dtype=np.int64)) if self._hashes else np.zeros(0, np.int64)
        repeated = ordered[1:][ordered[1:] == ordered[:-1]].tolist()
        number_hashes = np.array([hash(text) for text in self._numbers], np.int64)
        is_taken = np.isin(number_hashes, ordered).tolist()
        taken = {text for text, is_ in zip(self._numbers, is_taken, strict=True) if is_}
        taken |= self._apart if copies_go else self._again
        return RowIds(taken=frozenset(taken), repeated=frozenset((*repeated, *map(hash, self._again - taken))))


class NumberIds:
    """Tells of which ids that are numbers a repair makes strings. The data set is read for it when one is met first."""

    def __init__(self, data_set: DataSet, wanted: Selection) -> None:
        self._data_set = data_set
        self._copies_go = row_rules.DUPLICATE_ID.code in wanted

    def settled(self, found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
        """The findings; those of numbers that other rows have as their ids say so, and that there is no repair."""
        for one in found:
            is_number = one.code == row_rules.WRONG_TYPE.code and one.pointer == "/id" and one.fix is not None
            id_ = one.excerpt.text[one.excerpt.start : one.excerpt.end] if is_number else ""
            if is_number and id_ in self._taken:
                help = f"another row has the id {quoted(id_)} too; give each row an id of its own, in double quotes"
                yield replace(one, fix=None, help=help)
            else:
                yield one

    @cached_property
    def _taken(self) -> frozenset[str]:
        census = IdCensus()
        for file in self._data_set.files:
            if not file.is_shard:
                for lines in line_ranges(file.path, RANGE_BYTES):
                    read = read_lines(lines, RANGE_BYTES).lines
                    census.add((without_marks(line) for line in read if len(line) <= MAX_LINE_BYTES), file.path)
        return census.result(copies_go=self._copies_go).taken
