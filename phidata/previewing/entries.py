"""What the page holds of each row, as its script reads it."""

from __future__ import annotations

import msgspec

from phidata.diagnostics import Diagnostic


class Finding(msgspec.Struct, kw_only=True):
    """A diagnostic of a row; `marked` are the excerpt's text before, at and behind what it is about."""

    code: str
    severity: str
    message: str
    help: str
    pointer: str
    marked: tuple[str, str, str]


class ImageEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One image of a turn: its size and its number among the pictures of its block, or why there is nothing to show."""

    path: str
    width: int = 0
    height: int = 0
    bytes: int = 0
    picture: int = -1
    problem: str = ""


class TurnEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    user: str
    assistant: str
    images: list[ImageEntry] = []
    answers: tuple[str, ...] = ()


class RowEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One row; `metadata` is JSON text. `broken` says why a row can not be read; then it has no more than findings."""

    split: str
    place: str
    id: str = ""
    source: str = ""
    turns: list[TurnEntry] = []
    metadata: str = ""
    tokens: int = 0
    findings: list[Finding] = []
    broken: str = ""


def finding(found: Diagnostic) -> Finding:
    """A diagnostic as the page shows it."""
    text, start, end = found.excerpt.text, found.excerpt.start, found.excerpt.end
    return Finding(
        code=found.code,
        severity=found.severity,
        message=found.message,
        help=found.help,
        pointer=found.pointer,
        marked=(text[:start], text[start:end], text[end:]),
    )
