"""Every row is counted: written, skipped or failed, and of a failed row nothing remains but its name and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import phidata
from phidata import DataError, UsageError

from .conftest import CLIPS, SIX_CLIPS, VIDEOS, Plug, read_rows, run, tree, write_source


@pytest.fixture
def spoiled(six_clips: Path) -> Path:
    """Six clips: one empty, one half, one that is text; three are sound."""
    (six_clips / SIX_CLIPS[0]).write_bytes(b"")
    half = six_clips / SIX_CLIPS[2]
    half.write_bytes(half.read_bytes()[:4000])
    (six_clips / SIX_CLIPS[4]).write_text("not a video")
    return six_clips


FAILURES = [
    {
        "id": "train-0000000000",
        "split": "train",
        "name": "train/Jump/v_Jump_g01_c01",
        "file": "train/Jump/v_Jump_g01_c01.avi",
        "reason": "the file is empty",
    },
    {
        "id": "train-0000000002",
        "split": "train",
        "name": "train/Run/v_Run_g01_c01",
        "file": "train/Run/v_Run_g01_c01.avi",
        "reason": "the file is cut short: it has 4000 bytes and declares 9658",
    },
    {
        "id": "test-0000000004",
        "split": "test",
        "name": "test/Jump/v_Jump_g03_c01",
        "file": "test/Jump/v_Jump_g03_c01.avi",
        "reason": "it can not be opened as a video (Invalid data found when processing input)",
    },
]


def test_failed_rows_are_listed_and_the_others_are_written(tmp_path: Path, spoiled: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DataError) as error:
        phidata.convert("ucf101", source=spoiled, out=out, num_frames=1)
    assert str(error.value) == (
        f"3 of 6 rows failed, more than --max-failures 0 allows; "
        f"{out}/failures.jsonl names them, the other rows are converted"
    )
    assert [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()] == FAILURES
    assert [row["id"] for row in read_rows(out, "train")] == ["train-0000000001"]
    assert [path for path in tree(out) if path.startswith("images/")] == [
        "images/test/Run/v_Run_g03_c01.0.jpg",
        "images/train/Jump/v_Jump_g01_c02.0.jpg",
        "images/val/Run/v_Run_g02_c01.0.jpg",
    ]


def test_the_ledger_counts_every_row(tmp_path: Path, spoiled: Path) -> None:
    (spoiled / "val" / "Run" / "notes.txt").touch()
    manifest = phidata.convert("ucf101", source=spoiled, out=tmp_path / "out", num_frames=1, max_failures=3)
    counts = {
        name: (rows.rows_in, rows.written, rows.skipped, rows.failed)
        for name, rows in {**manifest.splits, "all": manifest.rows}.items()
    }
    assert counts == {"train": (3, 1, 0, 2), "val": (2, 1, 1, 0), "test": (2, 1, 0, 1), "all": (7, 3, 1, 3)}
    assert manifest.images.num == 3


def test_failed_rows_are_told_on_standard_error(tmp_path: Path, spoiled: Path) -> None:
    arguments = ["--from", "ucf101", "--source", spoiled, "--num-frames", "1"]
    code, out, err = run(*arguments, "--out", tmp_path / "a")
    assert code == 1
    assert out.splitlines()[1] == "train         3         1         0         2"
    assert "failed: train-0000000000 train/Jump/v_Jump_g01_c01.avi: the file is empty\n" in err
    assert err.splitlines()[-1].startswith("error: 3 of 6 rows failed, more than --max-failures 0 allows; ")
    assert run(*arguments, "--out", tmp_path / "b", "--max-failures", "2")[0] == 1
    assert run(*arguments, "--out", tmp_path / "c", "--max-failures", "3")[0] == 0


def test_a_damaged_frame_fails_its_row(tmp_path: Path, six_clips: Path) -> None:
    write_source(six_clips, SIX_CLIPS[3], clip=VIDEOS / "corrupted.mp4")
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", max_failures=1)
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert (failure["id"], failure["reason"]) == ("val-0000000003", "frame 30 of its 49 is damaged")


def test_a_file_that_can_not_be_read_fails_its_row(tmp_path: Path, six_clips: Path) -> None:
    clip = six_clips / SIX_CLIPS[3]
    clip.unlink()
    clip.symlink_to(tmp_path / "gone.avi")
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1, max_failures=1)
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert failure["reason"] == f"its video 'val/Run/v_Run_g02_c01.avi' is missing in {six_clips}"


def test_a_name_that_is_not_utf8_fails_its_row(tmp_path: Path, six_clips: Path) -> None:
    (six_clips / SIX_CLIPS[3]).rename(six_clips / "val" / "Run" / "v_\udcff.avi")
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1, max_failures=1)
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert (failure["file"], failure["reason"]) == ("val/Run/v_�.avi", "its name is not UTF-8; rename the file")


def test_a_row_that_breaks_the_format_fails(tmp_path: Path, six_clips: Path) -> None:
    (six_clips / "val" / "Run").rename(six_clips / "val" / "back\\slash")
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1, max_failures=1)
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert failure["name"] == "val/back\\slash/v_Run_g02_c01"
    assert failure["reason"].startswith("PHI")
    assert "/conversations/0/images/0" in failure["reason"]
    assert not (tmp_path / "out" / "images" / "val").exists()


# Writes an image and dies by the signal that $DEATH names, or raises, in the rows of the class Run.
MORTAL = """
    import os, signal
    from dataclasses import replace
    from phidata.converters.ucf101 import Ucf101
    from phidata.storage.sink import new_file

    class Mortal(Ucf101):
        about = replace(Ucf101.about, name="mortal")

        def convert(self, row, media):
            turns = super().convert(row, media)
            if row.label == "Run":
                path = os.path.join(os.environ["IMAGES"], row.name + ".0.jpg")
                os.makedirs(os.path.dirname(path), exist_ok=True)
                open(path, "w").close()
                os.kill(os.getpid(), getattr(signal, os.environ["DEATH"]))
                raise ValueError("a mistake in the converter")
            return turns

    converter = Mortal()
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_row_that_kills_its_worker_fails_by_name(
    tmp_path: Path, six_clips: Path, plug: Plug, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    plug("mortal", MORTAL)
    monkeypatch.setenv("DEATH", "SIGSEGV")
    monkeypatch.setenv("IMAGES", str(tmp_path / "out" / "images"))
    manifest = phidata.convert(
        "mortal", source=six_clips, out=tmp_path / "out", num_frames=1, jobs=jobs, max_failures=3
    )
    failures = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [failure["file"] for failure in failures] == [SIX_CLIPS[2], SIX_CLIPS[3], SIX_CLIPS[5]]
    assert {failure["reason"] for failure in failures} == {"its worker process was killed by SIGSEGV, 2 times"}
    assert manifest.images.num == 3
    assert sum(path.startswith("images/") for path in tree(tmp_path / "out")) == 3


# Ends its process as a library does that calls exit, or never comes back, in the rows of the class Run.
STUCK = """
    import os, time
    from dataclasses import replace
    from phidata.converters.ucf101 import Ucf101

    class Stuck(Ucf101):
        about = replace(Ucf101.about, name="stuck")

        def convert(self, row, media):
            if row.label == "Run" and row.split != "train":
                os._exit(3)
            while row.label == "Run":
                time.sleep(60)
            return super().convert(row, media)

    converter = Stuck()
"""


def test_a_row_that_ends_its_process_or_takes_too_long_fails_by_name(
    tmp_path: Path, six_clips: Path, plug: Plug
) -> None:
    plug("stuck", STUCK)
    manifest = phidata.convert(
        "stuck", source=six_clips, out=tmp_path / "out", num_frames=1, jobs=2, max_failures=3, row_timeout_s=4
    )
    failures = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [(failure["file"], failure["reason"]) for failure in failures] == [
        (SIX_CLIPS[2], "it takes longer than --row-timeout 4 seconds"),
        (SIX_CLIPS[3], "its worker process ended with exit code 3, 2 times"),
        (SIX_CLIPS[5], "its worker process ended with exit code 3, 2 times"),
    ]
    assert manifest.rows.written == 3


# Tells which rows it converts; the first fails, and the process dies in the class Run.
TOLD = """
    import os, signal
    from dataclasses import replace
    from phidata.converters.ucf101 import Ucf101
    from phidata.errors import DataError

    class Told(Ucf101):
        about = replace(Ucf101.about, name="told")

        def convert(self, row, media):
            with open(os.environ["TOLD"], "a") as file:
                file.write(row.name + "\\n")
            if row.name.endswith("Jump_g01_c01"):
                raise DataError("it is not wanted")
            if row.label == "Run":
                os.kill(os.getpid(), signal.SIGKILL)
            return super().convert(row, media)

    converter = Told()
"""


def test_a_row_that_failed_is_not_tried_again_when_a_later_one_kills_the_process(
    tmp_path: Path, six_clips: Path, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug("told", TOLD)
    monkeypatch.setenv("TOLD", str(tmp_path / "told"))
    monkeypatch.setattr("phidata.conversion.listing.NUM_RANGES", 1)
    phidata.convert(
        "told", source=six_clips, out=tmp_path / "out", splits={"train": "train"}, num_frames=1, max_failures=2
    )
    names = [name.rpartition("/")[2] for name in (tmp_path / "told").read_text().splitlines()]
    assert names == ["v_Jump_g01_c01", "v_Jump_g01_c02", "v_Run_g01_c01", "v_Run_g01_c01"]


# Loses its source in the first row of the class Run, as when a disk is unmounted.
LOST = """
    import os
    from dataclasses import replace
    from phidata.converters.ucf101 import Ucf101

    class Lost(Ucf101):
        about = replace(Ucf101.about, name="lost")

        def convert(self, row, media):
            if row.label == "Run" and os.path.exists(os.environ["SOURCE"]):
                os.rename(os.environ["SOURCE"], os.environ["SOURCE"] + ".away")
            return super().convert(row, media)

    converter = Lost()
"""


def test_a_source_that_is_gone_fails_no_row(
    tmp_path: Path, six_clips: Path, plug: Plug, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug("lost", LOST)
    monkeypatch.setenv("SOURCE", str(six_clips))
    with pytest.raises(DataError) as ended:
        phidata.convert("lost", source=six_clips, out=tmp_path / "out", num_frames=1, jobs=1, max_failures=9)
    assert str(ended.value) == (
        f"the source {six_clips} is not there any more; bring it back and run the same command again, it continues"
    )
    six_clips.with_name("source.away").rename(six_clips)
    monkeypatch.setenv("SOURCE", str(tmp_path / "nothing"))
    manifest = phidata.convert("lost", source=six_clips, out=tmp_path / "out", num_frames=1, jobs=1)
    assert (manifest.rows.written, manifest.rows.failed) == (6, 0)


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_time_that_no_row_can_keep_is_refused(tmp_path: Path, six_clips: Path, seconds: float) -> None:
    with pytest.raises(UsageError, match="it is seconds that a row may take"):
        phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", row_timeout_s=seconds)


def test_a_mistake_in_a_converter_ends_the_run_with_its_traceback(tmp_path: Path, six_clips: Path, plug: Plug) -> None:
    plug("mortal", MORTAL)
    out = tmp_path / "out"
    code, _, err = run(
        "--from", "mortal", "--source", six_clips, "--out", out, DEATH="SIGCONT", IMAGES=str(out / "images")
    )
    assert code == 1
    assert "ValueError: a mistake in the converter" in err
    last = f"error: the worker that converted {SIX_CLIPS[2]} ended by an error of its own, shown above"
    assert err.splitlines()[-1] == last or SIX_CLIPS[3] in err.splitlines()[-1]


def test_an_unknown_converter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^no converter 'ucf102'; did you mean 'ucf101'\?"):
        phidata.convert("ucf102", source=CLIPS, out=tmp_path / "out")


def test_a_third_partys_converter_is_found(tmp_path: Path, six_clips: Path, plug: Plug) -> None:
    plug(
        "mine",
        """
        from dataclasses import replace
        from phidata.converters.ucf101 import Ucf101

        class Mine(Ucf101):
            about = replace(Ucf101.about, name="mine")

        converter = Mine()
        """,
    )
    manifest = phidata.convert("mine", source=six_clips, out=tmp_path / "out", num_frames=1)
    assert (manifest.converter, manifest.splits["val"].files[0].name) == ("mine", "mine_val.jsonl")


def test_a_row_can_not_be_named_out_of_the_folder(tmp_path: Path, six_clips: Path, plug: Plug) -> None:
    plug(
        "sly",
        """
        from phidata.converters.ucf101 import Ucf101
        from phidata.conversion import Row

        class Sly(Ucf101):
            def rows(self, root, settings):
                yield Row(split="train", name="../../x", file="x.avi")

        converter = Sly()
        """,
    )
    with pytest.raises(DataError, match=r"the row name '\.\./\.\./x' leads out of the image folder; rename x\.avi"):
        phidata.convert("sly", source=six_clips, out=tmp_path / "out")
