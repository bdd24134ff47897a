"""docs/hostile.md, made from the table: `python -m tests.hostile.page > docs/hostile.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from .table import PARTS, Line, lines

HEAD = """# Hostile input

What phidata and phitrain make of data that somebody else has made, damaged or not by chance. Every line is run by
`tests/hostile`. **Refused**: nothing is made of it; exit code 1 when it is the data, 2 when it is the request.
**Handled**: it is taken as it is, or what is wrong with it is told row by row, where the ledger says: rows that went in
are those written, skipped and failed. No line ends in a traceback, in a signal, beyond its time limit, with a file
outside the output, or with a row that is gone in silence. [SECURITY.md](../SECURITY.md) says what is promised.

Made from the table in `tests/hostile/lines` by `python -m tests.hostile.page > docs/hostile.md`."""


def page() -> Iterator[str]:
    """The lines of the page."""
    yield HEAD
    for part in PARTS:
        yield ""
        yield f"## {part.capitalize()}"
        yield ""
        yield "| input | through | must | exit | it says | written, skipped, failed |"
        yield "|---|---|---|---|---|---|"
        yield from map(_row, lines(part))


def _row(line: Line) -> str:
    rows = "" if line.rows is None else ", ".join(map(str, line.rows))
    cells = (line.input, ", ".join(line.through), f"**{line.must}**", str(line.exit), line.says, rows)
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
