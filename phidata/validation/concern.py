"""What a check of whole, right rows has against one: found on the decoded row, placed in its line afterwards."""

from __future__ import annotations

from typing import NamedTuple

from phidata.diagnostics import Rule
from phidata.validation.row import Row
from phidata.validation.scan import Fault, Path


class Concern(NamedTuple):
    """Something about the value at `path`; `needle` is the part of it that is meant, where it is only a part."""

    rule: Rule
    path: Path
    message: str
    needle: str = ""

    def in_row(self, row: Row) -> Fault:
        """The fault at its place in the line."""
        start, end = row.scan.spans[self.path]
        found = row.text.find(self.needle, start, end) if self.needle else -1  # not there when spelled with escapes
        if found >= 0:
            start, end = found, found + len(self.needle)
        return Fault(rule=self.rule, start=start, end=end, path=self.path, message=self.message)
