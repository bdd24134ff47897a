"""What may be written where: nothing of anybody else's is touched, nothing finished is lost by accident."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import phidata
from phidata import DataError, Manifest, UsageError
from phidata.storage.splits import finish_folder

from .conftest import CLIPS, SIX_CLIPS, run, tree, write_source


def convert(source: Path, out: Path, **options: object) -> phidata.Manifest:
    return phidata.convert("ucf101", source=source, out=out, **{"num_frames": 1, **options})


def test_a_finished_conversion_is_kept_unless_overwritten(tmp_path: Path, six_clips: Path) -> None:
    out = tmp_path / "out"
    convert(six_clips, out)
    before = tree(out)
    with pytest.raises(UsageError) as refusal:
        convert(six_clips, out)
    assert str(refusal.value) == (
        f"{out} holds a finished conversion; pass --overwrite to replace it, or choose another --out"
    )
    assert tree(out) == before
    (out / "notes.txt").write_text("mine")
    convert(six_clips, out, num_frames=2, overwrite=True)
    after = tree(out)
    convert(six_clips, out, overwrite=True)
    assert {*after} - {*tree(out)} == {f"images/{file.removesuffix('.avi')}.1.jpg" for file in SIX_CLIPS}, (
        "images of the earlier conversion are gone"
    )
    assert (out / "notes.txt").read_text() == "mine"
    assert {path: digest for path, digest in tree(out).items() if path != "notes.txt"} == before


def test_overwriting_touches_nothing_before_the_source_is_read(tmp_path: Path, six_clips: Path) -> None:
    out = tmp_path / "out"
    convert(six_clips, out)
    before = tree(out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="is laid out otherwise"):
        convert(tmp_path / "empty", out, overwrite=True)
    assert tree(out) == before


@pytest.mark.parametrize("name", ["thesis.tex", "manifest.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_somebody_elses_is_never_touched(
    tmp_path: Path, six_clips: Path, name: str, overwrite: bool
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('{"name": "an app"}')
    with pytest.raises(UsageError, match=r"holds other files \(thesis\.tex\)|is not the manifest of a conversion"):
        convert(six_clips, out, overwrite=overwrite)
    assert [path.name for path in out.iterdir()] == [name]


def test_a_conversion_by_another_converter_is_kept(tmp_path: Path, six_clips: Path) -> None:
    out = tmp_path / "out"
    convert(six_clips, out)
    manifest = out / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"converter": "ucf101"', '"converter": "docvqa"'))
    with pytest.raises(UsageError, match="holds a conversion from docvqa; choose another --out"):
        convert(six_clips, out, overwrite=True)


def test_an_empty_folder_is_used(tmp_path: Path, six_clips: Path) -> None:
    (tmp_path / "out").mkdir()
    assert convert(six_clips, tmp_path / "out").rows.written == 6


@pytest.mark.parametrize("out", ["file", "file/below", "/proc/phidata"])
def test_a_place_that_can_not_be_written_is_refused(tmp_path: Path, six_clips: Path, out: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="; choose a"):
        convert(six_clips, tmp_path / out)


def test_a_full_disk_ends_the_run_and_the_next_one_continues(tmp_path: Path) -> None:
    """A limit on the size of a file stands for the disk: the images do not fit, the journal does."""
    out = tmp_path / "out"
    arguments = ["--from", "ucf101", "--source", CLIPS, "--out", out, "--num-frames", "1"]
    code, _, err = run_with_file_limit(8, *arguments)
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith("error: images can not be written to ")
    assert last.endswith("/out/images (File too large); make room and run the same command again, it continues")
    assert [path for path in tree(out) if path.endswith(".tmp") or path == "manifest.json"] == []
    assert run(*arguments)[0] == 0
    phidata.convert("ucf101", source=CLIPS, out=tmp_path / "whole", num_frames=1)
    assert tree(out) == tree(tmp_path / "whole")


def run_with_file_limit(kilobytes: int, *arguments: object) -> tuple[int, str, str]:
    import subprocess
    import sys

    command = f'ulimit -f {kilobytes}; exec "$0" -m phidata convert "$@"'
    done = subprocess.run(
        ["bash", "-c", command, sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_journal_that_can_not_be_written_ends_the_run(
    tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("phidata.conversion.journal.new_file", full)
        with pytest.raises(DataError, match=r"out can not be written \(No space left on device\); make room"):
            convert(six_clips, tmp_path / "out")
    assert convert(six_clips, tmp_path / "out").rows.written == 6


def test_the_number_of_jobs_changes_nothing(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", *SIX_CLIPS)
    (source / SIX_CLIPS[1]).write_bytes(b"no video")
    for jobs in (1, 2, 5):
        convert(source, tmp_path / str(jobs), jobs=jobs, max_failures=1)
    assert tree(tmp_path / "1") == tree(tmp_path / "2") == tree(tmp_path / "5")


def test_overwriting_leaves_what_no_conversion_has_written(tmp_path: Path, six_clips: Path) -> None:
    out = tmp_path / "out"
    convert(six_clips, out)
    (out / "my_notes.jsonl").write_text("mine")
    (out / "mine").mkdir()
    (out / "mine" / "state.json").write_text("mine")
    convert(six_clips, out, shape="parquet", overwrite=True)
    convert(six_clips, out, overwrite=True)
    assert (out / "my_notes.jsonl").read_text() == (out / "mine" / "state.json").read_text() == "mine"
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "images",
        "ledger.jsonl",
        "manifest.json",
        "mine",
        "my_notes.jsonl",
        "ucf101_test.jsonl",
        "ucf101_train.jsonl",
        "ucf101_val.jsonl",
    ]


def test_overwriting_is_refused_when_images_lie_there_that_no_row_names(tmp_path: Path, six_clips: Path) -> None:
    out = tmp_path / "out"
    convert(six_clips, out)
    (out / "images" / "mine.jpg").write_text("mine")
    before = tree(out)
    with pytest.raises(UsageError, match=r"holds 1 images that no row of it names \(images/mine\.jpg\); move"):
        convert(six_clips, out, overwrite=True)
    assert tree(out) == before


@pytest.mark.parametrize("place", ["", "train"])
def test_a_source_in_the_output_is_refused(six_clips: Path, place: str) -> None:
    before = tree(six_clips)
    with pytest.raises(UsageError, match=r"choose another --out$"):
        convert(six_clips / place, six_clips, overwrite=True)
    assert tree(six_clips) == before


def test_ctrl_c_does_not_wait_for_the_disk(tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "disk")
    waiting = tmp_path / "waiting"
    waiting.write_text(f"#!/bin/sh\nkill -INT $PPID\nread line < {tmp_path / 'disk'}\n")
    waiting.chmod(0o755)

    def interrupted(root: Path, manifest: Manifest) -> None:
        monkeypatch.setattr(sys, "executable", str(waiting))
        finish_folder(root, manifest)

    with monkeypatch.context() as patch:
        patch.setattr("phidata.conversion.assembly.finish_folder", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(six_clips, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    (tmp_path / "disk").write_text("written\n")
