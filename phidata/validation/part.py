"""One range of a file checked: the fast path for what is clean, the slow path for the lines that are not."""

from __future__ import annotations

import msgspec

from phidata.diagnostics import Diagnostic, Rule, line_rules
from phidata.validation.accept import Accepted, accept
from phidata.validation.images import ImageChecks
from phidata.validation.inputs import DataFile, Media
from phidata.validation.lines import MAX_LINE_BYTES, LineRange, Lines, read_lines
from phidata.validation.meaning import turns
from phidata.validation.row import Row, find_row, line_diagnostic, read_row
from phidata.validation.seen import Slots

BLOCK_LINES = 64  # accepted or refused together; more of them do not stay in the processor's cache

# A range is what is held in memory at a time, with all its findings. Where a row takes longer it is smaller, so that
# processes have an even share.
RANGE_BYTES: dict[Media, int] = {"none": 1 << 17, "exists": 1 << 17, "header": 1 << 16, "decode": 1 << 14}

Task = tuple[DataFile, LineRange]


class Part(msgspec.Struct, kw_only=True):
    """What was found in some lines of a file; `ids` has an entry for each line, None where it has no id to be read."""

    num_lines: int = 0
    rows: int = 0
    turns: int = 0
    images: int = 0
    ids: list[str | None] = []
    diagnostics: list[Diagnostic] = []


class PartCheck:
    """Checks ranges of files, one after the other; each process of a run has one of its own."""

    def __init__(self, media: Media, slots: Slots) -> None:
        self._media = media
        self._slots = slots
        self._images: dict[str, ImageChecks] = {}

    def __call__(self, task: Task) -> Part:
        """All that can be said about some lines without knowing others; line numbers count from their first."""
        file, lines = task
        read = read_lines(lines, RANGE_BYTES[self._media])
        return _Pass(file.path, read, self._images_below(file.images)).run()

    def _images_below(self, root: str) -> ImageChecks | None:
        if self._media == "none":
            return None
        if root not in self._images:
            self._images[root] = ImageChecks(root, self._media, self._slots)
        return self._images[root]


class _Pass:
    """One walk over the lines of a range."""

    def __init__(self, path: str, read: Lines, images: ImageChecks | None) -> None:
        self.path = path
        self.lines = read.lines
        self.ended = read.ended
        self.images = images
        self.part = Part(num_lines=len(read.lines))
        if read.byte_order_mark:
            message = "the file begins with a byte order mark, the bytes EF BB BF"
            self.note(1, line_rules.BYTE_ORDER_MARK, message)

    def run(self) -> Part:
        num_lines = len(self.lines)
        too_long = num_lines > 0 and len(self.lines[-1]) > MAX_LINE_BYTES
        for start in range(0, num_lines - too_long, BLOCK_LINES):
            block = self.lines[start : min(start + BLOCK_LINES, num_lines - too_long)]
            if clean := accept(block):
                self.accepted(clean, start)
            else:
                for index in range(start, start + len(block)):
                    self.single(index)
        if too_long:
            self.part.rows += 1
            self.part.ids.append(None)
            self.note(num_lines, line_rules.LINE_TOO_LONG, "the line is longer than 16 MiB")
        return self.part

    def single(self, index: int) -> None:
        if clean := accept(self.lines[index : index + 1]):
            self.accepted(clean, index)
            return
        ended = self.ended or index + 1 < len(self.lines)
        row = read_row(self.lines[index], path=self.path, number=index + 1, ended=ended)
        self.keep(row)
        self.part.rows += not row.is_blank
        self.part.ids.append(row.id)
        for _, turn in turns(row.scan.value):
            images = turn.get("images")
            self.part.turns += 1
            self.part.images += len(images) if isinstance(images, list) else 0

    def accepted(self, clean: Accepted, start: int) -> None:
        self.part.rows += len(clean.rows)
        self.part.turns += clean.num_turns
        self.part.images += clean.num_images
        self.part.ids += [row.id for row in clean.rows]
        if self.images:
            for index, row in enumerate(clean.rows, start):
                if not all(self.images.is_sound(name) for turn in row.conversations for name in turn.images):
                    self.keep(find_row(self.lines[index], path=self.path, number=index + 1))

    def keep(self, row: Row) -> None:
        """Keep the findings of a row, those of its images included."""
        self.part.diagnostics += row.diagnostics(self.images.faults(row.scan) if self.images else ())

    def note(self, number: int, rule: Rule, message: str) -> None:
        line = self.lines[number - 1] if self.lines else b""
        self.part.diagnostics.append(line_diagnostic(line, rule, message, path=self.path, number=number))
