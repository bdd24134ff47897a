"""One range of rows checked: the fast path for what is clean, the slow path for the rows that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from phidata.diagnostics import Diagnostic, Rule, line_rules
from phidata.validation.accept import Accepted, AcceptedRow, accept, decode_row
from phidata.validation.checks import RowChecks
from phidata.validation.concern import Concern
from phidata.validation.images import RowImages
from phidata.validation.inputs import DataFile, Media
from phidata.validation.lines import MAX_LINE_BYTES, Lines
from phidata.validation.meaning import turns
from phidata.validation.row import Row, find_row, line_diagnostic, read_row

BLOCK_LINES = 64  # accepted or refused together; more of them do not stay in the processor's cache

# A range is what is held in memory at a time, with all its findings. Where a row takes longer it is smaller, so that
# processes have an even share.
RANGE_BYTES: dict[Media, int] = {"none": 1 << 17, "exists": 1 << 17, "header": 1 << 16, "decode": 1 << 14}


class Part(msgspec.Struct, kw_only=True):
    """What was found in some rows of a file; `ids` has an entry for each line, None where it has no id to be read.

    `tokens` has the length of each row that was counted. `accepted` findings stand in a baseline, and not here.
    """

    num_lines: int = 0
    rows: int = 0
    turns: int = 0
    images: int = 0
    ids: list[str | None] = []
    diagnostics: list[Diagnostic] = []
    tokens: list[int] = []
    accepted: int = 0


class RowsCheck:
    """One walk over rows that are given as lines."""

    def __init__(
        self,
        file: DataFile,
        lines: Sequence[bytes],
        images: RowImages,
        checks: RowChecks | None,
        *,
        first: int = 0,
        in_shard: bool = False,
    ) -> None:
        self.file = file
        self.lines = lines
        self.ended = True
        self.images = images
        self.checks = checks
        self.first = first  # the place of the first line in its range
        self.in_shard = in_shard
        self.part = Part(num_lines=len(lines))

    def run(self) -> Part:
        """Check them all, many at a time where they are clean."""
        for start in range(0, len(self.lines), BLOCK_LINES):
            block = self.lines[start : start + BLOCK_LINES]
            if clean := accept(block):
                self.accepted(clean, start)
            else:
                for index in range(start, start + len(block)):
                    self.single(index)
        return self.part

    def single(self, index: int) -> None:
        """Check one line."""
        if clean := accept(self.lines[index : index + 1]):
            self.accepted(clean, index)
            return
        row = read_row(
            self.lines[index],
            path=self.file.path,
            number=self.first + index + 1,
            ended=self.ended or index + 1 < len(self.lines),
            images=self.file.images,
            in_shard=self.in_shard,
        )
        typed = decode_row(self.lines[index]) if self.checks else None
        concerns = self.concerns([typed], index)[0] if typed else []
        self.keep(row, index, concerns)
        self.part.rows += not row.is_blank
        self.part.ids.append(row.id)
        for _, turn in turns(row.scan.value):
            images = turn.get("images")
            self.part.turns += 1
            self.part.images += len(images) if isinstance(images, list) else 0

    def accepted(self, clean: Accepted, start: int) -> None:
        """Count rows in which no rule finds anything, and look at what is beyond the rules."""
        self.part.rows += len(clean.rows)
        self.part.turns += clean.num_turns
        self.part.images += clean.num_images
        self.part.ids += [row.id for row in clean.rows]
        if not (self.checks or self.images.are_looked_at):
            return
        concerns = self.concerns(clean.rows, start)
        for index, row in enumerate(clean.rows, start):
            own = concerns[index - start] if concerns else []
            if own or not self.images.are_sound(self.first + index, row):
                self.keep(self.found(index), index, own)

    def concerns(self, rows: Sequence[AcceptedRow], start: int) -> list[list[Concern]]:
        """What the checks of whole rows say about rows that follow each other; empty when none is asked for."""
        if not self.checks:
            return []
        places = {id(row): self.first + place for place, row in enumerate(rows, start)}
        found = self.checks.look(rows, lambda row: self.images.sizes(places[id(row)], row))
        self.part.tokens += found.tokens
        return found.concerns

    def found(self, index: int) -> Row:
        return find_row(
            self.lines[index],
            path=self.file.path,
            number=self.first + index + 1,
            images=self.file.images,
            in_shard=self.in_shard,
        )

    def keep(self, row: Row, index: int, concerns: Sequence[Concern]) -> None:
        """Keep the findings of a row, those of its images and of the whole row included."""
        more = [*self.images.faults(self.first + index, row.scan), *(concern.in_row(row) for concern in concerns)]
        self.part.diagnostics += row.diagnostics(more)


class LinesCheck(RowsCheck):
    """One walk over the lines of a range of a file, with what can be wrong with a file of lines."""

    def __init__(self, file: DataFile, read: Lines, images: RowImages, checks: RowChecks | None) -> None:
        lines = read.split()
        too_long = bool(lines) and len(lines[-1]) > MAX_LINE_BYTES
        super().__init__(file, lines[:-1] if too_long else lines, images, checks)
        self.ended = read.ended or too_long
        self._first_line = lines[0] if lines else b""
        self._long_line = lines[-1] if too_long else None
        if read.byte_order_mark:
            message = "the file begins with a byte order mark, the bytes EF BB BF"
            self._note(1, self._first_line, line_rules.BYTE_ORDER_MARK, message, fix="safe")

    def run(self) -> Part:
        super().run()
        if self._long_line is not None:
            self.part.num_lines += 1
            self.part.rows += 1
            self.part.ids.append(None)
            message = "the line is longer than 16 MiB"
            self._note(self.part.num_lines, self._long_line, line_rules.LINE_TOO_LONG, message)
        return self.part

    def _note(self, number: int, line: bytes, rule: Rule, message: str, fix: Literal["safe"] | None = None) -> None:
        found = line_diagnostic(line, rule, message, path=self.file.path, number=number, fix=fix)
        self.part.diagnostics.append(found)
