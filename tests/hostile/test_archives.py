"""Every hostile archive of the table, given to `phidata convert` as its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from .archives import BUILDERS
from .promises import keeps, nothing_changes_but, told
from .table import Line, lines

LINES = lines("archives")
TABLE = ("--map", "images=file", "--map", "user=q", "--map", "assistant=a")


def test_every_archive_of_the_table_is_made() -> None:
    assert [line.name for line in LINES] == list(BUILDERS)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_an_archive_gives_what_the_table_says(line: Line, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in BUILDERS[line.name]().items():
        Path(name).write_bytes(content)
        for command in line.through:
            converter = command.split()[-1]
            out = Path(f"out-{name}-{converter}")
            options = TABLE if converter == "table" else ()
            with nothing_changes_but(here, str(out)):
                found = told(capsys, *command.split(), *options, "--source", name, "--out", out, "--jobs", "1")
            keeps(line, found, out)
        Path(name).unlink()
