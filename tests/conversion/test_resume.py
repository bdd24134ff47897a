"""A conversion that dies at any point is finished by the same command, and ends in the same bytes."""

from __future__ import annotations

import json
import os
import signal
import tarfile
import time
from functools import partial
from pathlib import Path

import pytest

import phidata
from phidata import DataError, Manifest, UsageError
from phidata.conversion.assembly import Assembly
from phidata.conversion.journal import Journal

from .conftest import SIX_CLIPS, Plug, run, start, tree, write_source

# Stops before and after the images of the row that $GATE names are made, as long as there is a pipe to wait at.
GATED = """
    import os
    from dataclasses import replace
    from pathlib import Path
    from phidata.converters.ucf101 import Ucf101

    class Gated(Ucf101):
        about = replace(Ucf101.about, name="gated")

        def convert(self, row, media):
            gate = Path(os.environ["GATE"])
            log = gate / "converted.txt"
            log.open("a").write(row.name + "\\n")
            turns = super().convert(row, media)
            if (gate / "here").exists() and row.name == os.environ["AT"]:
                (gate / "here").write_text(str(os.getpid()))
                (gate / "go").read_text()
            return turns

    converter = Gated()
"""
TIMEOUT_S = 60.0
NAMES = [file.removesuffix(".avi") for file in SIX_CLIPS]


class Gate:
    """Where a worker stops: `wait` returns its process id once it is there, `open` lets it go on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir()
        self._folder = folder
        monkeypatch.setenv("GATE", str(folder))
        monkeypatch.setenv("AT", "")

    def close(self) -> None:
        for name in ("here", "go"):
            os.mkfifo(self._folder / name)

    def wait(self) -> int:
        return int((self._folder / "here").read_text())

    def open(self) -> None:
        (self._folder / "go").write_text("")

    def remove(self) -> None:
        for name in ("here", "go"):
            (self._folder / name).unlink()

    def converted(self) -> list[str]:
        """The names of the rows that were converted since this was asked last."""
        log = self._folder / "converted.txt"
        names = log.read_text().splitlines()
        log.unlink()
        return names


@pytest.fixture
def gate(tmp_path: Path, plug: Plug, monkeypatch: pytest.MonkeyPatch) -> Gate:
    plug("gated", GATED)
    return Gate(tmp_path / "gate", monkeypatch)


def arguments(source: Path, out: Path, jobs: int) -> list[str | Path]:
    return ["--from", "gated", "--source", source, "--out", out, "--num-frames", "2", "--jobs", str(jobs)]


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("at", [0, 3, 5])
def test_killed_anywhere_and_run_again_gives_the_same_bytes(
    tmp_path: Path, six_clips: Path, gate: Gate, at: int, jobs: int
) -> None:
    phidata.convert("gated", source=six_clips, out=tmp_path / "whole", num_frames=2, jobs=1)
    gate.converted()
    out = tmp_path / "out"

    gate.close()
    process = start(*arguments(six_clips, out, jobs), AT=NAMES[at])
    gate.wait()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = len(list((out / ".journal" / "parts").rglob("*.part")))
    assert not (out / "manifest.json").exists()
    with pytest.raises(DataError, match="unfinished conversion"):
        phidata.load(out)

    gate.remove()
    gate.converted()
    assert run(*arguments(six_clips, out, jobs))[0] == 0
    assert tree(out) == tree(tmp_path / "whole")
    again = len(gate.converted())
    assert again == 6 - done or (jobs == 2 and again == 5 - done)  # a row that is whole in a part is taken over
    assert jobs == 2 or done == at


def test_a_worker_ends_with_its_parent_in_the_middle_of_a_row(tmp_path: Path, six_clips: Path, gate: Gate) -> None:
    phidata.convert("gated", source=six_clips, out=tmp_path / "whole", num_frames=2)
    out = tmp_path / "out"
    gate.close()
    process = start(*arguments(six_clips, out, 1), AT=NAMES[2])
    gate.wait()
    process.kill()
    process.communicate(timeout=TIMEOUT_S)  # its output ends when the worker, which writes to it too, has ended
    gate.remove()
    assert run(*arguments(six_clips, out, 1))[0] == 0
    assert tree(out) == tree(tmp_path / "whole")


def test_a_worker_that_can_not_end_keeps_others_out(
    tmp_path: Path, six_clips: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.close()
    process = start(*arguments(six_clips, tmp_path / "out", 1), AT=NAMES[2])
    worker = gate.wait()
    os.kill(worker, signal.SIGSTOP)  # as one that waits for a disk which does not answer
    wait_until_stopped(worker)
    process.kill()
    monkeypatch.setattr("phidata.conversion.journal._PATIENCE_S", 0.0)
    try:
        process.wait(timeout=TIMEOUT_S)
        with pytest.raises(UsageError, match="another process is converting into"):
            phidata.convert("gated", source=six_clips, out=tmp_path / "out", num_frames=3, overwrite=True)
    finally:
        os.kill(worker, signal.SIGCONT)
        process.communicate(timeout=TIMEOUT_S)


def wait_until_stopped(process: int) -> None:
    """All threads of it: a signal is on its way for a moment."""
    deadline = time.monotonic() + TIMEOUT_S
    for stat in Path(f"/proc/{process}/task").glob("*/stat"):
        while stat.read_text().rpartition(")")[2].split()[0] != "T":
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_worker_that_is_killed_is_replaced_and_its_row_tried_again(
    tmp_path: Path, six_clips: Path, gate: Gate
) -> None:
    phidata.convert("gated", source=six_clips, out=tmp_path / "whole", num_frames=2)
    gate.converted()
    gate.close()
    process = start(*arguments(six_clips, tmp_path / "out", 1), AT=NAMES[2])
    os.kill(gate.wait(), signal.SIGKILL)
    gate.wait()
    gate.open()
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert gate.converted() == [*NAMES[:3], *NAMES[3:], NAMES[2]]
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.parametrize("packed", [False, True])
def test_ctrl_c_ends_quickly_and_can_be_continued(tmp_path: Path, six_clips: Path, gate: Gate, packed: bool) -> None:
    source = six_clips
    if packed:
        source = tmp_path / "packed.tar.gz"
        with tarfile.open(source, "w:gz") as package:
            package.add(six_clips, arcname="UCF101_subset")
    gate.close()
    process = start(*arguments(source, tmp_path / "out", 2), AT=NAMES[3])
    gate.wait()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".journal", "images"]
    gate.remove()
    gate.converted()
    manifest = phidata.convert("gated", source=source, out=tmp_path / "out", num_frames=2)
    assert manifest.rows.written == 6
    assert 1 <= len(gate.converted()) < 6


def test_a_second_process_is_refused_while_the_first_converts(tmp_path: Path, six_clips: Path, gate: Gate) -> None:
    gate.close()
    process = start(*arguments(six_clips, tmp_path / "out", 1), AT=NAMES[0])
    gate.wait()
    with pytest.raises(UsageError, match=r"another process is converting into .*/out; wait for it or choose another"):
        phidata.convert("gated", source=six_clips, out=tmp_path / "out", num_frames=2)
    gate.open()
    process.communicate()
    assert process.returncode == 0


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_killed_between_the_manifest_and_the_end_is_finished(
    tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove", interrupt)
        with pytest.raises(KeyboardInterrupt):
            phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1)
    assert (tmp_path / "out" / "manifest.json").exists()
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1)
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "whole", num_frames=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.fixture
def unfinished(tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All rows are converted, and nothing else is done."""
    with monkeypatch.context() as patch:
        patch.setattr("phidata.conversion.assembly.Assembly.finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1)
    return tmp_path / "out"


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_part_cut_anywhere_is_continued(tmp_path: Path, six_clips: Path, unfinished: Path, cut: int) -> None:
    part = unfinished / ".journal" / "parts" / "000" / "000003.part"
    part.with_suffix(".0.partial").write_bytes(part.read_bytes()[:-cut])
    part.unlink()
    (unfinished / "images" / "val" / "Run" / ".123.tmp").write_text("half an image")
    phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=1)
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "whole", num_frames=1)
    assert tree(unfinished) == tree(tmp_path / "whole")


def test_a_part_of_images_that_is_damaged_is_made_again(
    tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = partial(phidata.convert, "ucf101", source=six_clips, num_frames=1, shape="parquet")
    with monkeypatch.context() as patch:
        patch.setattr("phidata.conversion.assembly.Assembly.finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            convert(out=tmp_path / "out")
    part = tmp_path / "out" / ".journal" / "parts" / "000" / "000003.part"
    part.write_bytes(part.read_bytes()[:-1])
    convert(out=tmp_path / "out")
    convert(out=tmp_path / "whole")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_part_that_lost_a_row_is_told(tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, finish = tmp_path / "out", Assembly.finish

    def spoil(assembly: Assembly) -> Manifest:
        part = out / ".journal" / "parts" / "000" / "000003.part"
        part.write_bytes(part.read_bytes()[:9])
        return finish(assembly)

    monkeypatch.setattr(Assembly, "finish", spoil)
    with pytest.raises(DataError, match=r"000003\.part is damaged; remove it and run the same command again"):
        phidata.convert("ucf101", source=six_clips, out=out, num_frames=1)


def test_images_that_were_lost_are_made_again(tmp_path: Path, six_clips: Path, unfinished: Path) -> None:
    (unfinished / "images" / "val" / "Run" / "v_Run_g02_c01.0.jpg").write_bytes(b"")
    (unfinished / "images" / "test" / "Run" / "v_Run_g03_c01.0.jpg").unlink()
    phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=1)
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "whole", num_frames=1)
    assert tree(unfinished) == tree(tmp_path / "whole")


def test_other_options_are_refused_until_overwritten(six_clips: Path, unfinished: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=2, quality=90)
    assert str(refusal.value) == (
        f"{unfinished} holds an unfinished conversion that was begun with num_frames 1, quality 75; "
        "run it again as it was begun, or pass --overwrite to begin anew"
    )
    manifest = phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=2, overwrite=True)
    assert manifest.images.num == 12


def test_another_source_is_refused(tmp_path: Path, unfinished: Path) -> None:
    other = write_source(tmp_path / "other", *SIX_CLIPS)
    with pytest.raises(UsageError, match="begun with another source"):
        phidata.convert("ucf101", source=other, out=unfinished, num_frames=1)


@pytest.mark.parametrize(
    ("new", "gone", "change"),
    [
        ("train/Jump/v_Jump_g01_c00.avi", None, "row 0 was train/Jump/v_Jump_g01_c01 and is train/Jump/v_Jump_g01_c00"),
        ("test/Run/v_Run_g02_c09.avi", SIX_CLIPS[5], "row 5 was test/Run/v_Run_g03_c01 and is test/Run/v_Run_g02_c09"),
        (None, SIX_CLIPS[5], "row 5 was test/Run/v_Run_g03_c01 and is gone"),
    ],
)
def test_a_source_that_has_changed_is_refused(
    six_clips: Path, unfinished: Path, new: str | None, gone: str | None, change: str
) -> None:
    if new is not None:
        write_source(six_clips, new)
    if gone is not None:
        (six_clips / gone).unlink()
    with pytest.raises(UsageError) as refusal:
        phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=1)
    assert str(refusal.value) == (
        f"the source has changed since the conversion into {unfinished} began: {change} now; "
        "pass --overwrite to begin anew"
    )


def test_a_failed_row_is_tried_again(tmp_path: Path, six_clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = six_clips / SIX_CLIPS[0]
    sound = clip.read_bytes()
    clip.write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr("phidata.conversion.assembly.Assembly.finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1)
    clip.write_bytes(sound)
    assert phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1).rows.written == 6


def test_a_journal_of_another_version_is_left_alone(six_clips: Path, unfinished: Path) -> None:
    journal = unfinished / ".journal" / "header.json"
    journal.write_text(json.dumps({"version": 99}) + "\n")
    with pytest.raises(UsageError, match=r"is not a journal that this version of phidata can continue; remove"):
        phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=1, overwrite=True)
    assert journal.read_text() == '{"version": 99}\n'


def test_a_row_that_was_edited_in_between_is_refused(six_clips: Path, unfinished: Path) -> None:
    os.utime(six_clips / SIX_CLIPS[0], ns=(1, 1))
    with pytest.raises(UsageError, match=r"began: train/Jump/v_Jump_g01_c01\.avi is another now; pass --overwrite"):
        phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=1)
    assert phidata.convert("ucf101", source=six_clips, out=unfinished, num_frames=1, overwrite=True).rows.written == 6
