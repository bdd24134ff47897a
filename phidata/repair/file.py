"""One jsonl file repaired: read twice, written beside, and not yet in its place."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from phidata.diagnostics import line_rules, row_rules
from phidata.errors import DataError
from phidata.repair.diff import Diff
from phidata.repair.line import LineRepair, RepairedLine
from phidata.repair.outcome import RepairedFile
from phidata.storage.unnamed import UnnamedFile
from phidata.validation.accept import accept
from phidata.validation.id_census import IdCensus, RowIds, written_id
from phidata.validation.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, without_marks
from phidata.validation.selection import Selection


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
        self._refused: OSError | None = None

    def run(self, diff: Diff | None, *, write: bool) -> RepairedFile | None:
        """Repair line by line; None when nothing changes. With `write` the new file lies beside the old one."""
        self._new = self._open() if write else None
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
        if self._refused is not None:
            raise DataError(
                f"{self._path} can not be repaired: no file can be written in its folder ({self._refused.strerror}); "
                "change the permissions, or repair a copy"
            ) from self._refused
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

    def _open(self) -> UnnamedFile | None:
        """The new file; None in a folder that takes none, which matters only when something changes."""
        try:
            return UnnamedFile(self._path.resolve().parent)
        except OSError as error:
            self._refused = error
            return None

    def _pairs(self) -> Iterator[tuple[bytes, list[bytes]]]:
        """Each line of the file as it is, and the lines that it becomes."""
        at_start = True
        with self._path.open("rb") as file:
            for old in file:
                self._num_rows += not is_blank(old)
                new = self._first(old) if at_start else self._become(old)
                at_start &= not new
                yield old, new

    def _first(self, old: bytes) -> list[bytes]:
        """What a line becomes with which the new file begins."""
        line = without_marks(old)
        if line == old:
            return self._become(old)
        if line_rules.BYTE_ORDER_MARK.code not in self._wanted:
            first, *more = [line] if is_blank(line) else self._become(line)
            return [old[: len(old) - len(line)] + first, *more]
        self._changes[line_rules.BYTE_ORDER_MARK.code] += 1
        return self._become(line)

    def _become(self, line: bytes) -> list[bytes]:
        body, newline = (line[:-1], b"\n") if line.endswith(b"\n") else (line, b"")
        if len(body) > MAX_LINE_BYTES:
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
        id_ = written_id(line)
        if id_ is None or id_.is_number or hash(id_.text) not in self._ids.repeated:
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
    """Let the census see the lines of a file as they will be when they are repaired, whole numbers still as numbers."""
    at_start = True
    with path.open("rb") as file:
        for line in file:
            body = (without_marks(line) if at_start else line).removesuffix(b"\n")
            if len(body) > MAX_LINE_BYTES:
                at_start = False
                continue
            clean = accept([body])
            done = RepairedLine(lines=[body]) if clean else line_repair.repair(body, ended=line.endswith(b"\n"))
            at_start &= not done.lines
            census.add(done.lines, str(path))
