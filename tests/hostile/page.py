"""docs/hostile.md, made from the table: `python -m tests.hostile.page > docs/hostile.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from . import media, mutations
from .table import PARTS, Line, lines

HEAD = """# Hostile input

What phidata and phitrain make of data that somebody else has made, damaged or not by chance. Every line is run by
`tests/hostile`. **Refused**: nothing is made of it; exit code 1 when it is the data, 2 when it is the request.
**Handled**: it is taken as it is, or what is wrong with it is told row by row, where the ledger says: rows that went in
are those written, skipped and failed. No line ends in a traceback, in a signal, beyond its time limit, with a file
outside the output, or with a row that is gone in silence. [SECURITY.md](../SECURITY.md) says what is promised.

Made from the table in `tests/hostile/lines` by `python -m tests.hostile.page > docs/hostile.md`."""

MUTATIONS = """{cases:,} inputs: sound bytes with bits, bytes, pieces and ranges changed, and JSON with values replaced,
removed, renamed or doubled; each has its time, and each kind a process of its own. **Taken**: as if nothing were wrong,
which is right where a text or a picture has changed. **Told**: with the row or the file. **Refused**: whole, in one
sentence. A **fault** would be anything else. `python -m tests.hostile mutations` and `… media` run them all, the tests
a few."""


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
    yield from _mutations()


def _mutations() -> Iterator[str]:
    counts = [*mutations.results(), *media.results()]
    yield ""
    yield "## Changed by chance"
    yield ""
    yield MUTATIONS.format(cases=sum(count.cases for count in counts))
    yield ""
    yield "| input | through | cases | taken | told | refused | faults | slowest, ms |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    for count in counts:
        found = (count.cases, count.taken, count.told, count.refused, count.faults, count.slowest_ms)
        yield f"| {count.target} | {count.what} | {' | '.join(f'{number:,}' for number in found)} |"


def _row(line: Line) -> str:
    rows = "" if line.rows is None else ", ".join(map(str, line.rows))
    cells = (line.input, ", ".join(line.through), f"**{line.must}**", str(line.exit), line.says, rows)
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
