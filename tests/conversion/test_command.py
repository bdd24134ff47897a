"""`phidata convert` on the command line: what it prints where, and its exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from phidata.cli import main

from .conftest import run, tree


def test_the_table_goes_to_standard_output_and_progress_to_standard_error(tmp_path: Path, six_clips: Path) -> None:
    (six_clips / "val" / "Run" / "notes.txt").touch()
    out = tmp_path / "out"
    code, table, err = run("--from", "ucf101", "--source", six_clips, "--out", out, "--num-frames", "1")
    assert code == 0
    size = sum(path.stat().st_size for path in (out / "images").rglob("*.jpg")) / 1e6
    assert table.splitlines() == [
        "           read   written   skipped    failed",
        "train         3         3         0         0",
        "val           2         1         1         0",
        "test          2         2         0         0",
        "all           7         6         1         0",
        "skipped: 1 (not an .avi file)",
        f"6 images, {size:.1f} MB, in {out}",
    ]
    assert re.fullmatch(r"convert ucf101: 6/6 rows in \d+\.\d s, \d+\.\d rows/s, 1 skipped\n", err)


@pytest.mark.parametrize("size", [(24, 80), (0, 0)], ids=["sized", "size unknown"])
def test_on_a_terminal_there_is_a_progress_bar(tmp_path: Path, six_clips: Path, size: tuple[int, int]) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    command = [sys.executable, "-m", "phidata", "convert", "--from", "ucf101"]
    arguments = ["--source", str(six_clips), "--out", str(tmp_path / "out"), "--num-frames", "1"]
    done = subprocess.run([*command, *arguments], stdout=subprocess.DEVNULL, stderr=slave, check=False)
    os.close(slave)
    shown = b""
    while b"6/6" not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert done.returncode == 0
    assert b"convert ucf101:" in shown
    assert b"\r" in shown


def test_the_manifest_is_printed_as_json(tmp_path: Path, six_clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["convert", "--from", "ucf101", "--source", str(six_clips), "--out_dir", str(out), "--format", "json"]
    assert main([*arguments, "--num-frames", "1", "--image-format", "png", "--max-side", "16"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((out / "manifest.json").read_text())
    assert {name: printed["options"][name] for name in ("num_frames", "image_format", "quality", "max_side")} == {
        "num_frames": 1,
        "image_format": "png",
        "quality": 75,
        "max_side": 16,
    }
    assert "images/val/Run/v_Run_g02_c01.0.png" in tree(out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "ucf101"], "Missing option '--out'"),
        (["--out", "x"], "Missing option '--from'"),
        (["--from", "ucf101", "--out", "x", "--decoder", "opencv"], "'opencv' is not one of 'pyav', 'decord'"),
        (["--from", "ucf101", "--out", "x", "--quality", "0"], "quality is 0; JPEG quality is from 1 to 95"),
        (["--from", "ucf101", "--out", "x", "--jobs", "many"], "'many' is not a valid integer"),
        (["--from", "ufc101", "--out", "x"], "no converter 'ufc101'; did you mean 'ucf101'?"),
        (["--from", "ucf101", "--out", "x", "--source", "gone"], "no source gone; give a folder"),
    ],
)
def test_what_can_not_be_done_as_asked_is_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_output_passes_the_validate_command(
    tmp_path: Path, six_clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--source", str(six_clips), "--out", str(tmp_path / "out"), "--num-frames", "3"]
    assert main(["convert", "--from", "ucf101", *arguments]) == 0
    capsys.readouterr()
    assert main(["validate", str(tmp_path / "out"), "--media", "decode"]) == 0
    assert capsys.readouterr().out.splitlines() == ["0 errors, 0 warnings in 6 rows, 6 turns, 18 images"]
