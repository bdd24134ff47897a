"""What holds for every hostile input, whatever a line of the table says besides."""

from __future__ import annotations

import faulthandler
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest

from phidata.cli import main

from .table import Line

LIMIT_S = 30.0  # of one command; a hundred times what it takes


class TookTooLong(BaseException):
    """A command that did not end in its time; no handler of ordinary errors takes it."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """How a command ended, and what it printed."""

    exit: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


def told(capsys: pytest.CaptureFixture[str], *arguments: str | Path, limit_s: float = LIMIT_S) -> Told:
    """Run `phidata …` in this process. Whatever it raises is raised here: a traceback is a failure."""
    capsys.readouterr()
    with time_limit(limit_s):
        code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return Told(exit=code, out=captured.out, err=captured.err)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong after so many seconds; end the process, with all stacks, when even that is not heard."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TookTooLong(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(4 * seconds, exit=True, file=2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


def state(folder: Path) -> dict[str, str]:
    """Every entry below a folder, as raw bytes name it, with what it is: the sha256 of a file, the target of a link."""
    return dict(_entries(os.fsencode(folder), b""))


def _entries(folder: bytes, below: bytes) -> Iterator[tuple[str, str]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = below + entry.name
        shown = name.decode("utf-8", "backslashreplace")
        if entry.is_symlink():
            yield shown, "-> " + os.fsdecode(os.readlink(entry.path))  # noqa: PTH115 - a path of bytes
        elif entry.is_dir():
            yield shown, "folder"
            yield from _entries(entry.path, name + b"/")
        elif entry.is_file():
            with open(entry.path, "rb") as file:  # noqa: PTH123 - a path of bytes
                yield shown, hashlib.sha256(file.read()).hexdigest()
        else:
            yield shown, "no file"


@contextmanager
def nothing_changes_but(folder: Path, *outputs: str) -> Iterator[None]:
    """Assert that in a folder nothing appears, changes or goes, except at and below the outputs."""
    before = state(folder)
    yield
    after = state(folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    astray = {name for name in changed if not any(name == out or name.startswith(f"{out}/") for out in outputs)}
    assert astray == set()


def keeps(line: Line, found: Told, out: Path | None = None) -> None:
    """Assert that a command made of an input what its line says; `out`: the data folder that it may have written."""
    assert (found.exit, found.all) == (line.exit, found.all)
    assert line.says in found.all
    assert "Traceback" not in found.all
    errors = [text for text in found.err.splitlines() if text.startswith("error: ")]
    if line.must == "refused":
        assert len(errors) == 1, found.err
        assert out is None or not (out / "manifest.json").exists()
    if line.rows is not None:
        assert out is not None
        assert counted(out) == line.rows


def counted(out: Path) -> tuple[int, int, int]:
    """The rows written, skipped and failed, by the manifest, which together are all rows that went in."""
    rows = json.loads((out / "manifest.json").read_bytes())["rows"]
    assert rows["rows_in"] == rows["written"] + rows["skipped"] + rows["failed"]
    return rows["written"], rows["skipped"], rows["failed"]
