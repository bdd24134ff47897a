"""Rows of one range checked: the fast path for what is clean, the slow path for the rows that are not."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal

import msgspec

from phidata.diagnostics import Diagnostic, Rule, line_rules
from phidata.validation.accept import Accepted, AcceptedRow, accept, accept_block, decode_row
from phidata.validation.checks import RowChecks
from phidata.validation.concern import Concern
from phidata.validation.id_hashes import NO_ID, id_hashes
from phidata.validation.images import RowImages
from phidata.validation.inputs import DataFile, Media
from phidata.validation.lines import MAX_LINE_BYTES, TOO_LONG, Lines
from phidata.validation.meaning import turns
from phidata.validation.row import Row, find_row, line_diagnostic, read_row

# A range is what a process is given at a time: enough that giving it costs nothing beside it, and so little that the
# processes have an even share.
RANGE_BYTES: dict[Media, int] = {"none": 1 << 20, "exists": 1 << 20, "header": 1 << 16, "decode": 1 << 14}

# What makes another process worth its start.
WORKER_BYTES: dict[Media, int] = {"none": 1 << 24, "exists": 1 << 22, "header": 1 << 16, "decode": 1 << 14}

BLOCK_BYTES = 96 << 10  # accepted or refused together; the memory of larger ones goes back to the system each time
BLOCK_LINES = 64  # accepted or refused together when their block is refused
MANY_FINDINGS = 1000  # no part has many more: what is held in memory does not depend on how much is wrong


class Part(msgspec.Struct, kw_only=True):
    """What was found in some rows of a file; `id_hashes` has an entry for each line.

    `tokens` has the length of each row that was counted. `accepted` findings stand in a baseline, and not here.
    """

    num_lines: int = 0
    rows: int = 0
    turns: int = 0
    images: int = 0
    id_hashes: array[int] = msgspec.field(default_factory=partial(array, "q"))
    diagnostics: list[Diagnostic] = []
    tokens: list[int] = []
    accepted: int = 0


class RowsCheck:
    """A walk over rows that are given as lines, in order. `first` is the place of the first one in its range."""

    def __init__(
        self,
        file: DataFile,
        images: RowImages,
        checks: RowChecks | None,
        *,
        first: int = 0,
        in_shard: bool = False,
    ) -> None:
        self.file = file
        self.images = images
        self.checks = checks
        self.in_shard = in_shard
        self.part = Part()
        self._first = first  # the place of the first of the lines that are looked at

    def check(self, lines: Sequence[bytes], *, ended: bool = True) -> Iterator[Part]:
        """Check some lines, many at a time where they are clean; gives the parts that are full. `ended` says whether a
        newline follows the last one."""
        for start in range(0, len(lines), BLOCK_LINES):
            block = lines[start : start + BLOCK_LINES]
            if clean := accept(block):
                self.accepted(clean, block.__getitem__)
                yield from self.full()
                continue
            for index, line in enumerate(block, start):
                self._single(line, ended=ended or index + 1 < len(lines))
                yield from self.full()

    def full(self) -> Iterator[Part]:
        """The part, when it has many findings; another one is begun."""
        if len(self.part.diagnostics) >= MANY_FINDINGS:
            yield self.end()

    def end(self) -> Part:
        """The part as far as it goes."""
        part, self.part = self.part, Part()
        return part

    def accepted(self, clean: Accepted, line: Callable[[int], bytes]) -> None:
        """Count rows in which no rule finds anything, and look at what is beyond the rules; `line` gives theirs."""
        self._count(id_hashes([row.id for row in clean.rows]), clean.num_turns, clean.num_images)
        if self.checks or self.images.are_looked_at:
            concerns = self._concerns(clean.rows)
            with self.images.strict():
                for index, row in enumerate(clean.rows):
                    own = concerns[index] if concerns else []
                    if own or not self.images.are_sound(self._first + index, row):
                        self._keep(self._found(line(index), index), index, own)
        self._first += len(clean.rows)

    def _single(self, line: bytes, *, ended: bool) -> None:
        if clean := accept([line]):
            self.accepted(clean, lambda _: line)
            return
        row = read_row(
            line,
            path=self.file.path,
            number=self._first + 1,
            ended=ended,
            images=self.file.images,
            in_shard=self.in_shard,
        )
        typed = decode_row(line) if self.checks else None
        self._keep(row, 0, self._concerns([typed])[0] if typed else [])
        images = [turn.get("images") for _, turn in turns(row.scan.value)]
        num_images = sum(len(of_turn) for of_turn in images if isinstance(of_turn, list))
        self._count(id_hashes([row.id]), len(images), num_images)
        self.part.rows -= row.is_blank
        self._first += 1

    def _count(self, hashes: array[int], num_turns: int, num_images: int) -> None:
        self.part.id_hashes.extend(hashes)
        self.part.num_lines += len(hashes)
        self.part.rows += len(hashes)
        self.part.turns += num_turns
        self.part.images += num_images

    def _concerns(self, rows: Sequence[AcceptedRow]) -> list[list[Concern]]:
        """What the checks of whole rows say about rows that follow each other; empty when none is asked for."""
        if not self.checks:
            return []
        places = {id(row): place for place, row in enumerate(rows, self._first)}
        found = self.checks.look(rows, lambda row: self.images.sizes(places[id(row)], row))
        self.part.tokens += found.tokens
        return found.concerns

    def _found(self, line: bytes, index: int) -> Row:
        return find_row(
            line,
            path=self.file.path,
            number=self._first + index + 1,
            images=self.file.images,
            in_shard=self.in_shard,
        )

    def _keep(self, row: Row, index: int, concerns: Sequence[Concern]) -> None:
        """Keep the findings of a row, those of its images and of the whole row included."""
        more = [*self.images.faults(self._first + index, row.scan), *(concern.in_row(row) for concern in concerns)]
        self.part.diagnostics += row.diagnostics(more)


class LinesCheck(RowsCheck):
    """A walk over a range of a file, with what can be wrong with a file of lines."""

    def run(self, blocks: Iterable[Lines]) -> Iterator[Part]:
        """The parts of the range, which is given as blocks of whole lines. The last part may have no findings."""
        for block in blocks:
            if block.byte_order_mark:
                message = "the file begins with a byte order mark, the bytes EF BB BF"
                first = block.lines[0] if block.lines else b""
                self._note(first, line_rules.BYTE_ORDER_MARK, message, fix="safe")
            if len(block.data) <= MAX_LINE_BYTES and (clean := accept_block(block.data)):
                self.accepted(clean, block.line)
                yield from self.full()
            else:
                yield from self._look_closer(block)
        yield self.end()

    def _look_closer(self, block: Lines) -> Iterator[Part]:
        lines = block.lines
        long_line = lines[-1] if lines and len(lines[-1]) > MAX_LINE_BYTES else None
        if long_line is None:
            yield from self.check(lines, ended=block.ended)
            return
        yield from self.check(lines[:-1])
        self._note(long_line, line_rules.LINE_TOO_LONG, TOO_LONG)
        self._count(array("q", [NO_ID]), 0, 0)
        self._first += 1

    def _note(self, line: bytes, rule: Rule, message: str, fix: Literal["safe"] | None = None) -> None:
        found = line_diagnostic(line, rule, message, path=self.file.path, number=self._first + 1, fix=fix)
        self.part.diagnostics.append(found)
