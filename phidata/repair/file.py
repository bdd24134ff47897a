"""One jsonl file repaired: read twice, written beside, and not yet in its place."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phidata.diagnostics import line_rules, row_rules
from phidata.repair.diff import Diff
from phidata.repair.line import LineRepair, RepairedLine
from phidata.repair.outcome import RepairedFile
from phidata.storage.unnamed import UnnamedFile
from phidata.validation.accept import accept
from phidata.validation.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES
from phidata.validation.row import find_row
from phidata.validation.selection import Selection


class _Ids(msgspec.Struct):
    id: str | int | None = None


_read_id = msgspec.json.Decoder(_Ids).decode


@dataclass(frozen=True, kw_only=True)
class RowIds:
    """What has to be known of all rows before one is changed: the ids that whole numbers may not become, and the hashes
    of ids that stand more than once."""

    taken: frozenset[str]
    repeated: frozenset[int]


class IdCensus:
    """Looks at every id of a data set, eight bytes each."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._numbers: Counter[str] = Counter()

    def add(self, lines: Iterable[bytes]) -> None:
        """Take in the ids of lines as they will be, whole numbers still as numbers."""
        for line in lines:
            match _id_of(line):
                case str() as text:
                    self._hashes.append(hash(text))
                case int() as number:
                    self._numbers[str(number)] += 1

    def result(self) -> RowIds:
        """The sums, when all rows were taken in."""
        import numpy as np  # takes longer to import than most files take to repair

        ordered = np.sort(np.frombuffer(self._hashes, dtype=np.int64)) if self._hashes else np.zeros(0, np.int64)
        repeated = frozenset(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
        number_hashes = np.array([hash(text) for text in self._numbers], np.int64)
        is_taken = dict(zip(self._numbers, np.isin(number_hashes, ordered).tolist(), strict=True))
        taken = frozenset(text for text, count in self._numbers.items() if count > 1 or is_taken[text])
        return RowIds(taken=taken, repeated=repeated)


def whole_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file with their newlines, the byte order mark left out."""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            yield line.removeprefix(BYTE_ORDER_MARK) if number == 0 else line


class FileRepair:
    """Goes through one file; `commit` puts what was written into its place."""

    def __init__(self, path: Path, line_repair: LineRepair, ids: RowIds, wanted: Selection) -> None:
        self._path = path
        self._line_repair = line_repair
        self._ids = ids
        self._wanted = wanted
        self._copies: dict[bytes, None] = {}
        self._changes: Counter[str] = Counter()
        self._num_rows = self._num_copies = self._num_added = 0
        self._paths_changed = False
        self._new: UnnamedFile | None = None

    def run(self, diff: Diff | None, *, write: bool) -> RepairedFile | None:
        """Repair line by line; None when nothing changes. With `write` the new file lies beside the old one."""
        target = self._path.resolve()
        self._new = UnnamedFile(target.parent) if write else None
        before = hashlib.sha256()
        try:
            for old, new in self._pairs():
                before.update(old)
                if self._new is not None:
                    self._new.write(b"".join(new))
                if diff:
                    diff.line(old, new)
            if diff:
                diff.end()
        except BaseException:
            self.discard()
            raise
        if not self._changes:
            self.discard()
            return None
        return RepairedFile(
            path=str(self._path),
            changes=dict(self._changes),
            rows=self._num_rows,
            copies=self._num_copies,
            added_rows=self._num_added,
            paths_changed=self._paths_changed,
            bytes=self._new.num_bytes if self._new else 0,
            sha256=self._new.sha256 if self._new else "",
            sha256_before=before.hexdigest(),
        )

    def finish(self) -> Path:
        """End the new file, which gets the permissions of the old one; return where it lies until `commit`."""
        assert self._new is not None
        self._new.close()
        self._new.path.chmod(self._path.stat().st_mode & 0o7777)
        return self._new.path

    def commit(self) -> None:
        """Let the new file take the place of the old one."""
        assert self._new is not None
        self._new.take_name(self._path.resolve())

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._new is not None:
            self._new.discard()

    def _pairs(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Each line of the file as it is, and the lines that it becomes."""
        with self._path.open("rb") as file:
            for number, old in enumerate(file):
                line = old
                self._num_rows += not is_blank(old)
                if number == 0 and old.startswith(BYTE_ORDER_MARK) and line_rules.BYTE_ORDER_MARK.code in self._wanted:
                    line = old.removeprefix(BYTE_ORDER_MARK)
                    self._changes[line_rules.BYTE_ORDER_MARK.code] += 1
                yield old, self._become(line)

    def _become(self, line: bytes) -> list[bytes]:
        body, newline = (line[:-1], b"\n") if line.endswith(b"\n") else (line, b"")
        if len(body) > MAX_LINE_BYTES or body.startswith(BYTE_ORDER_MARK):
            return [line]
        done = self._line_repair.repair(body, ended=bool(newline))
        self._changes.update(done.changes)
        self._paths_changed |= done.paths_changed
        self._num_added += max(len(done.lines) - 1, 0)
        kept = [one for one in done.lines if not self._is_copy(one)]
        return [one + b"\n" for one in kept[:-1]] + [one + newline for one in kept[-1:]]

    def _is_copy(self, line: bytes) -> bool:
        """Whether an earlier line of the file is the same, byte for byte."""
        if not self._ids.repeated or row_rules.DUPLICATE_ID.code not in self._wanted:
            return False
        id_ = _id_of(line)
        if not isinstance(id_, str) or hash(id_) not in self._ids.repeated:
            return False
        digest = hashlib.sha256(line.rstrip(b"\r")).digest()
        if digest not in self._copies:
            self._copies[digest] = None
            return False
        self._changes[row_rules.DUPLICATE_ID.code] += 1
        self._num_copies += 1
        return True


def is_blank(line: bytes) -> bool:
    """Whether there is no row on a line; the same that validation counts."""
    return not line.removeprefix(BYTE_ORDER_MARK).strip(b" \t\r\n\0")


def take_census(path: Path, line_repair: LineRepair, census: IdCensus) -> None:
    """Let the census see the lines of a file as they will be when they are repaired."""
    for line in whole_lines(path):
        body = line.removesuffix(b"\n")
        if len(body) > MAX_LINE_BYTES:
            continue
        done = RepairedLine(lines=[body]) if accept([body]) else line_repair.repair(body, ended=line.endswith(b"\n"))
        census.add(done.lines)


def _id_of(line: bytes) -> str | int | None:
    try:
        return _read_id(line).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return find_row(line, path="", number=1).id
