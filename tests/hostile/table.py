"""What each hostile input must give: the lines of `lines/*.jsonl`, which the tests run and docs/hostile.md shows.

A line is one JSON object: {"name": "member-leads-out", "input": "a tar with a member `../x`", "through": ["convert"],
"must": "refused", "exit": 1, "says": "which leads out of the archive", "rows": null}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

LINES = Path(__file__).parent / "lines"
PARTS = tuple(sorted(path.stem for path in LINES.glob("*.jsonl")))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One hostile input, and what every command that it goes through must make of it.

    `refused`: nothing is made of it, and the exit code is 1 (the data) or 2 (the request). `handled`: it is taken as it
    is, or what is wrong with it is told row by row. Either way `says` is in what the command prints. `rows`, where the
    input is a source with rows: how many are written, skipped and failed; together they are all that went in.
    """

    part: str
    name: str
    input: str
    through: tuple[str, ...]
    must: Literal["refused", "handled"]
    exit: int
    says: str
    rows: tuple[int, int, int] | None = None


def lines(part: str) -> list[Line]:
    """The lines of a part, in the order of its file."""
    content = (LINES / f"{part}.jsonl").read_text("utf-8").splitlines()
    return [_line(part, json.loads(text)) for text in content]


def by_name(part: str) -> dict[str, Line]:
    """The lines of a part by their names."""
    return {line.name: line for line in lines(part)}


def _line(part: str, value: dict[str, Any]) -> Line:
    rows = value.pop("rows", None)
    through = tuple(value.pop("through"))
    return Line(part=part, through=through, rows=None if rows is None else tuple(rows), **value)
