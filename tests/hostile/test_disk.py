"""A full disk, and a read-only one, at all that writes: one sentence, nothing that looks whole, and it can go on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import phidata
from phidata.storage.shape import SHAPES

from .disk import KINDS, READ_ONLY_KINDS, Disk, disk
from .pictures import noise, saved
from .promises import state, told
from .table import Line, by_name, lines

LINES = by_name("disk")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`source`, pictures in folders; `rows`, a data folder of them; `bad`, one with much that can be repaired."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(8):
        picture = folder / "source" / "train" / "ab"[number % 2] / f"{number}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(saved(noise((40, 40 + number)), "PNG"))
    phidata.convert("image-folder", source=folder / "source", out=folder / "rows", jobs=1, keep_bytes=True)
    (rows,) = (folder / "rows").glob("*_train.jsonl")
    (folder / "bad").mkdir()
    (folder / "bad" / "images").symlink_to(folder / "rows" / "images")
    numbered = (dict(json.loads(line), id=number) for number, line in enumerate(rows.read_bytes().splitlines()))
    bad = b"".join(json.dumps(row).encode() + b"\r\n" for row in numbered)
    (folder / "bad" / "bad_train.jsonl").write_bytes(bad)
    return folder


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with disk(request.param, tmp_path / "disk") as found:
        yield found


Command = Callable[[Path, Path], list[str | Path]]


def convert(shape: str) -> Command:
    options = ("--to", shape, "--keep-bytes", "--jobs", "1")
    return lambda data, out: [
        "convert", "--from", "image-folder", "--source", data / "source", "--out", out, *options
    ]  # fmt: skip


def merge(shape: str) -> Command:
    return lambda data, out: ["merge", data / "rows", "--out", out, "--to", shape]


WRITERS: dict[str, Command] = {
    "convert-images-jsonl": convert("images-jsonl"),
    "convert-parquet": convert("parquet"),
    **{f"merge-{shape}": merge(shape) for shape in SHAPES},
    "split": lambda data, out: ["split", data / "rows", "--out", out, "--split", "a=1", "--split", "b=1"],
    "dedup": lambda data, out: ["dedup", data / "rows", "--out", out, "--exact"],
    "export-llava": lambda data, out: ["export", data / "rows", "--to", "llava", "--images", "copy", "--out", out],
    "export-swift": lambda data, out: ["export", data / "rows", "--to", "swift", "--images", "copy", "--out", out],
    "export-webdataset": lambda data, out: ["export", data / "rows", "--to", "webdataset", "--out", out],
    "preview": lambda data, out: ["preview", data / "rows", "--out", out],
    "baseline": lambda data, out: ["validate", data / "bad", "--baseline", out, "--write-baseline"],
}
TWICE = ("merge-images-jsonl", "preview")  # on both kinds of disks, where there are two
FULL = [
    pytest.param(LINES[name], kind, id=f"{name}-{kind}")
    for name in WRITERS
    for kind in KINDS
    if kind == KINDS[0] or name in TWICE
]


@pytest.mark.parametrize(("line", "small"), FULL, indirect=["small"])
def test_what_does_not_fit_is_told_and_made_when_there_is_room(
    line: Line, data: Path, small: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    is_convert = line.name.startswith("convert")
    command = WRITERS[line.name](data, out := small.path / "out")
    ended = told(capsys, *command).exit
    expected = whole(out)
    shutil.rmtree(out) if out.is_dir() else out.unlink()
    for room in small.rooms[-1:] if is_convert else small.rooms:
        with small.room(room):
            found = told(capsys, *command)
        if found.exit == ended and "error: " not in found.err:
            assert room
            break
        assert (found.exit, found.err.count("error: "), "Traceback" in found.err) == (line.exit, 1, False), found.err
        assert line.says in found.err
        assert str(out) in found.err
        assert not (out / "manifest.json").exists()
        assert is_convert or list(small.path.iterdir()) == []
    else:
        assert told(capsys, *command).exit == ended
    assert whole(out) == expected


def whole(out: Path) -> object:
    return state(out) if out.is_dir() else out.read_bytes()


@pytest.mark.parametrize("small", KINDS, indirect=True)
def test_a_repair_that_does_not_fit_changes_nothing(
    data: Path, tmp_path: Path, small: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    line = LINES["fix"]
    for folder in (small.path / "bad", tmp_path / "bad"):
        shutil.copytree(data / "bad", folder, symlinks=True)
    before = state(small.path)
    with small.room(700):
        found = told(capsys, "validate", small.path / "bad", "--fix")
    assert (found.exit, found.err.count("error: "), line.says in found.err) == (line.exit, 1, True)
    assert str(small.path) in found.err
    assert state(small.path) == before
    for folder in (small.path / "bad", tmp_path / "bad"):
        assert told(capsys, "validate", folder, "--fix").exit == 0
    assert state(small.path / "bad") == state(tmp_path / "bad") != before


READ_ONLY = [line for line in lines("disk") if line.name.startswith("read-only-")]


@pytest.mark.parametrize("kind", READ_ONLY_KINDS)
@pytest.mark.parametrize("line", READ_ONLY, ids=lambda line: line.name)
def test_where_nothing_can_be_written_nothing_is(
    line: Line, kind: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = line.name.removeprefix("read-only-")
    with disk(kind, tmp_path / "disk") as full:
        if name == "fix":
            shutil.copytree(data / "bad", full.path / "bad", symlinks=True)
        with full.read_only():
            place = full.path / "bad" if name == "fix" else full.path / "out"
            arguments = ["validate", place, "--fix"] if name == "fix" else WRITERS[name](data, place)
            found = told(capsys, *arguments)
    assert (found.exit, found.err.count("error: "), "Traceback" in found.err) == (line.exit, 1, False), found.err
    assert line.says in found.err
    assert str(place) in found.err


PRINTERS: dict[str, Callable[[Path], list[str | Path]]] = {
    "print-stats": lambda data: ["stats", data / "rows", "--format", "json"],
    "print-validate": lambda data: ["validate", data / "bad", "--format", "sarif"],
    "print-explain": lambda _: ["explain", "PHI101"],
}


@pytest.mark.parametrize("name", PRINTERS)
def test_a_full_disk_behind_standard_output_is_told(name: str, data: Path) -> None:
    line = LINES[name]
    arguments = [sys.executable, "-m", "phidata", *map(str, PRINTERS[name](data))]
    with open(os.devnull.replace("null", "full"), "wb") as full:  # noqa: PTH123 - what always says that it is full
        ended = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (line.exit, f"error: {line.says}")
