"""One line repaired: edit after edit until none is left; all other bytes stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from phidata.diagnostics import row_rules
from phidata.repair.outcome import CRLF
from phidata.validation.accept import accept
from phidata.validation.edits import Edit
from phidata.validation.images import FileImages
from phidata.validation.row import Row, read_row
from phidata.validation.scan import Fault
from phidata.validation.selection import Selection

MAX_ROUNDS = 50  # one edit can uncover another fault; each round leaves fewer


@dataclass(frozen=True, kw_only=True)
class RepairedLine:
    """What a line became: none, one or several lines, and the codes that were repaired."""

    lines: list[bytes]
    changes: Counter[str] = field(default_factory=Counter)
    paths_changed: bool = False


class LineRepair:
    """Repairs lines of files whose image paths start in one folder.

    `taken` ids stay what they are, so that a whole number that becomes a string is not the id of another row.
    """

    def __init__(
        self, images: FileImages, root: str, wanted: Selection, *, unsafe: bool, taken: Collection[str] | None
    ) -> None:
        self._images = images
        self._root = root
        self._wanted = wanted
        self._unsafe = unsafe
        self._taken = taken

    def repair(self, line: bytes, *, ended: bool) -> RepairedLine:
        """Repair one line, given without its newline."""
        changes: Counter[str] = Counter()
        if ended and line.endswith(b"\r") and not self._wanted.select:
            line = line.rstrip(b"\r")
            changes[CRLF] += 1
        paths_changed = False
        for _ in range(MAX_ROUNDS):
            if (clean := accept([line])) and self._images.are_sound(0, clean.rows[0]):
                break
            row = read_row(line, path="", number=1, ended=ended, images=self._root)
            edits = self._edits(row)
            if not edits:
                break
            changes.update(fault.rule.code for fault, _ in edits)
            paths_changed |= any(fault.path[-2:-1] == ("images",) for fault, _ in edits)
            if any(edit.drops_line for _, edit in edits):
                return RepairedLine(lines=[], changes=changes)
            end = line[len(line.rstrip(b"\r")) :]  # where it is not wanted that line ends change
            line = _applied(row.text, [edit for _, edit in edits]).encode("utf-8", "surrogateescape") + end
            if b"\n" in line:
                if "\r" in row.text and not self._wanted.select:
                    line = line.rstrip(b"\r")  # the last row ended as the others did
                return self._several(line.split(b"\n"), changes, paths_changed, ended=ended)
        return RepairedLine(lines=[line], changes=changes, paths_changed=paths_changed)

    def _several(
        self,
        lines: list[bytes],
        changes: Counter[str],
        paths_changed: bool,
        *,
        ended: bool,
    ) -> RepairedLine:
        done = [self.repair(line, ended=True) for line in lines[:-1]] + [self.repair(lines[-1], ended=ended)]
        return RepairedLine(
            lines=[line for one in done for line in one.lines],
            changes=sum((one.changes for one in done), changes),
            paths_changed=paths_changed or any(one.paths_changed for one in done),
        )

    def _edits(self, row: Row) -> list[tuple[Fault, Edit]]:
        """The edits that may be made, from left to right; one that touches the one before waits for the next round."""
        may = [
            (fault, edit)
            for fault, edit in row.edits(self._images.faults(0, row.scan))
            if fault.rule.code in self._wanted and (edit.safe or self._unsafe) and not self._is_taken(fault, edit)
        ]
        apart: list[tuple[Fault, Edit]] = []
        for fault, edit in sorted(may, key=lambda pair: (pair[1].start, pair[1].end)):
            if not apart or edit.start > apart[-1][1].end:
                apart.append((fault, edit))
        return apart

    def _is_taken(self, fault: Fault, edit: Edit) -> bool:
        if fault.rule is not row_rules.WRONG_TYPE or fault.path != ("id",):
            return False
        return self._taken is None or edit.text[1:-1] in self._taken


def _applied(text: str, edits: list[Edit]) -> str:
    pieces: list[str] = []
    position = 0
    for edit in edits:
        pieces += (text[position : edit.start], edit.text)
        position = edit.end
    return "".join((*pieces, text[position:]))
