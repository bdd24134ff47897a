"""Every hostile path and annotation of the table, given to the commands of its line."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from .promises import keeps, nothing_changes_but, told
from .scenes import LATIN, SCENES
from .table import Line, lines

LINES = [*lines("paths"), *lines("annotations")]


def test_every_scene_of_the_table_is_made() -> None:
    assert {line.name.partition(":")[0] for line in LINES} == set(SCENES)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_command_gives_what_the_table_says(line: Line, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SCENES[line.name.partition(":")[0]]()
    for command in line.through:
        words = [word.replace("caf\\xe9", LATIN) for word in shlex.split(command)]
        is_linked = Path("out").is_symlink()
        with nothing_changes_but(here, *(() if is_linked and line.must == "refused" else ("out", "real", "page.html"))):
            keeps(line, told(capsys, *words), Path("out"))
        if not is_linked:
            shutil.rmtree("out", ignore_errors=True)
        Path("page.html").unlink(missing_ok=True)
