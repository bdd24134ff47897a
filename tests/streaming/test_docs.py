"""docs/streaming.md says what the program does: its programs and commands are run, its options are those there are."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest

import phidata
from phidata.cli import main
from phidata.storage.cache import DEFAULT_BYTES
from phidata.storage.remote import Patience
from phidata.streaming.interleaving import MAX_PERIOD
from phidata.streaming.permutation import SMALL

from .conftest import MakeFolder
from .test_remote import put

PAGE = (Path(__file__).parents[2] / "docs" / "streaming.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folders(make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that the page speaks of, in the folder where its programs run."""
    monkeypatch.chdir(tmp_path)
    for name in ("birds", "cats"):
        (tmp_path / name).symlink_to(make_folder(60, name=name, per_shard=20))


@pytest.mark.usefixtures("folders")
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_programs_run(number: int, tmp_path: Path, make_folder: MakeFolder) -> None:
    url = put(make_folder(60, per_shard=20), "memory://page/birds")
    program = PROGRAMS[number].replace("/local/disk", str(tmp_path / "cache"))
    program = re.sub(r"(s3|hf)://[\w/]+", url, program)
    exec(compile(program, "streaming.md", "exec"), {"__name__": "page"})


@pytest.mark.usefixtures("folders")
def test_commands_run() -> None:
    commands = re.findall(r"^\$ phidata (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command.replace("--step 1200", "--step 1"))) == 0


def test_the_table_has_every_option() -> None:
    [table] = re.findall(r"^\| option .*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    named = {name for line in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)", line.split("|")[1])}
    assert named == set(inspect.signature(phidata.stream).parameters) - {"paths", "split"}


def test_the_numbers_are_those_of_the_program() -> None:
    patience = Patience()
    assert (patience.attempts, patience.timeout_s) == (6, 60)
    assert patience.first_wait_s * 2 ** (patience.attempts - 2) == 8
    assert (SMALL, MAX_PERIOD, DEFAULT_BYTES) == (65_536, 10_000, 64 << 30)
