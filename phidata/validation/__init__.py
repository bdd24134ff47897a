"""Checking data: the shape by the schema, what it means, and the images; a fast path first."""

from __future__ import annotations

from phidata.diagnostics import Diagnostic, line_rules
from phidata.validation.accept import accept
from phidata.validation.inputs import Media
from phidata.validation.lines import MAX_LINE_BYTES, TOO_LONG
from phidata.validation.report import Report, add_part, iter_parts, validate
from phidata.validation.row import line_diagnostic, read_row
from phidata.validation.token_count import TokenLimit
from phidata.validation.trainers import Trainer

__all__ = ["Media", "Report", "TokenLimit", "Trainer", "add_part", "check_line", "iter_parts", "validate"]


def check_line(line: bytes, *, path: str = "<row>", number: int = 1) -> list[Diagnostic]:
    """What is wrong with one row, given as its line of JSON: shape and meaning, not the images it names.

    A clean row costs a few microseconds. `path` and `number` are what the findings call the line.
    """
    line = line.rstrip(b"\r\n")
    if len(line) > MAX_LINE_BYTES:
        return [line_diagnostic(line, line_rules.LINE_TOO_LONG, TOO_LONG, path=path, number=number)]
    return [] if accept([line]) else read_row(line, path=path, number=number).diagnostics()
