"""Checking data: the shape by the schema, what it means, and the images; a fast path first."""

from __future__ import annotations

from phidata.diagnostics import Diagnostic
from phidata.validation.accept import accept
from phidata.validation.inputs import Media
from phidata.validation.report import Report, add_part, iter_parts, validate
from phidata.validation.row import read_row
from phidata.validation.token_count import TokenLimit
from phidata.validation.trainers import Trainer

__all__ = ["Media", "Report", "TokenLimit", "Trainer", "add_part", "check_line", "iter_parts", "validate"]


def check_line(line: bytes, *, path: str = "<row>", number: int = 1) -> list[Diagnostic]:
    """What is wrong with one row, given as its line of JSON: shape and meaning, not the images it names.

    A clean row costs a few microseconds. `path` and `number` are what the findings call the line.
    """
    line = line.rstrip(b"\r\n")
    return [] if accept([line]) else read_row(line, path=path, number=number).diagnostics()
