"""A whole data folder: there when it is finished, accounted for, and never in the way of another."""

from __future__ import annotations

import errno
import fcntl
import gc
import json
import os
import weakref
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft202012Validator

import phidata
from phidata import Conversation, DataError, Turn, UsageError
from phidata.storage.batches import BatchShardFile
from phidata.storage.ledger import LedgerLine, ledgers
from phidata.storage.manifest import DataFile, RowLedger, SplitLedger, read_manifest
from phidata.storage.parquet import begin_shard
from phidata.storage.shape import Shape
from phidata.storage.shards import ShardedWriter
from phidata.storage.splits import split_writer
from phidata.storage.unnamed import UnnamedFile
from phidata.storage.writer import DatasetWriter

from .conftest import GREEN, RED, images_of, numbered, tree, write_folder


def writer_of(out: Path, shape: Shape = "images-jsonl", **more: object) -> DatasetWriter:
    return DatasetWriter(
        out, name="birds", converter="merge", versions={"phidata": "1"}, splits=("train", "val"), shape=shape, **more
    )  # type: ignore[arg-type]  # only options


def test_the_manifest_tells_all_of_it_and_obeys_its_schema(tmp_path: Path, shape: Shape) -> None:
    with writer_of(tmp_path / "out", shape, options={"ids": "keep"}) as writer:
        for row in numbered(3):
            writer.add("train", row, images_of(row))
        writer.skip("train", "is a duplicate", id="row-9")
        writer.skip(None, "has no split", count=2)
        writer.fail("val", "its image is gone", id="row-8")
        manifest = writer.finish()
    assert (manifest.name, manifest.converter, manifest.shape) == ("birds", "merge", shape)
    assert manifest.options == {"ids": "keep"}
    assert msgspec.to_builtins(manifest.rows) == {
        "rows_in": 7,
        "written": 3,
        "skipped": 3,
        "failed": 1,
        "skip_reasons": {"has no split": 2, "is a duplicate": 1},
    }
    ledgers = {
        split: (ledger.rows_in, ledger.written, ledger.skipped, ledger.failed)
        for split, ledger in manifest.splits.items()
    }
    assert ledgers == {"train": (4, 3, 1, 0), "val": (1, 0, 0, 1)}
    written = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert read_manifest(tmp_path / "out") == manifest
    schema = files("phidata.schemas").joinpath("manifest.schema.json").read_text()
    Draft202012Validator(json.loads(schema)).validate(written)
    assert [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()] == [
        {"split": "train", "outcome": "written", "count": 3},
        {"split": "train", "outcome": "skipped", "count": 1, "reason": "is a duplicate", "id": "row-9"},
        {"split": None, "outcome": "skipped", "count": 2, "reason": "has no split"},
        {"split": "val", "outcome": "failed", "count": 1, "reason": "its image is gone", "id": "row-8"},
    ]


def test_an_image_that_several_rows_show_is_counted_and_stored_once(tmp_path: Path, shape: Shape) -> None:
    images = write_folder(tmp_path / "out", shape, numbered(4), splits=("train", "val")).images
    assert (images.num, images.bytes) == (1, len(RED))
    if shape == "images-jsonl":
        assert [path.name for path in (tmp_path / "out" / "images").rglob("*.*")] == ["a.png"]


def test_the_image_list_does_not_depend_on_the_shape_or_on_the_order_of_splits(tmp_path: Path) -> None:
    rows = [
        Conversation(id=str(k), source="s", conversations=(Turn(images=(f"{k}.png",), user="u", assistant="a"),))
        for k in range(4)
    ]
    trees = []
    for shape, order in (("parquet", (0, 1, 2, 3)), ("images-jsonl", (2, 3, 0, 1)), ("webdataset", (0, 2, 1, 3))):
        with writer_of(tmp_path / shape, shape) as writer:  # type: ignore[arg-type]  # a literal in a loop
            for number in order:
                writer.add("train" if number < 2 else "val", rows[number], [RED if number % 2 else GREEN])
            trees.append(writer.finish().images)
    assert trees[0] == trees[1] == trees[2]


def test_nothing_is_left_when_it_does_not_end_well(tmp_path: Path, shape: Shape) -> None:
    def fail() -> None:
        with writer_of(tmp_path / "out", shape) as writer:
            writer.add("train", numbered(1)[0], [RED])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("num_bytes", [10, 1500])
def test_nothing_is_left_when_the_disk_is_full(
    tmp_path: Path, shape: Shape, num_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = UnnamedFile.write

    def full(file: UnnamedFile, data: bytes) -> int:
        if file.num_bytes + memoryview(data).nbytes > num_bytes:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(UnnamedFile, "write", full)
    with pytest.raises(DataError) as raised:
        write_folder(tmp_path / "out", shape, numbered(100))
    assert str(raised.value) == (
        f"{tmp_path}/out can not be written (No space left on device); make room and run the same command again"
    )
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_there_before_it_is_finished(tmp_path: Path, shape: Shape) -> None:
    with writer_of(tmp_path / "out", shape) as writer:
        writer.add("train", numbered(1)[0], [RED])
        assert not (tmp_path / "out").exists()
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_a_killed_run_has_left_is_removed_by_the_next(tmp_path: Path, shape: Shape) -> None:
    left = tmp_path / ".out.unfinished"
    (left / "data").mkdir(parents=True)
    (left / "data" / ".0000000001000001.tmp").write_bytes(b"half")
    (left / "train-00000-of-00009.tar").write_bytes(b"old")
    write_folder(tmp_path / "out", shape)
    write_folder(tmp_path / "again", shape)
    assert tree(tmp_path / "out") == tree(tmp_path / "again")
    assert not left.exists()


def test_what_wrote_a_finished_shard_is_let_go(tmp_path: Path) -> None:
    begun: list[weakref.ref[BatchShardFile]] = []

    def begin(folder: Path) -> BatchShardFile:
        shard = begin_shard(folder)
        begun.append(weakref.ref(shard))
        return shard

    writer = ShardedWriter(tmp_path, "parquet", "train", shard_bytes=1, begin=begin)
    for row in numbered(3):
        writer.add(row, [RED])
    gc.collect()
    assert [shard() is not None for shard in begun] == [False, False, True]
    assert [file.rows for file in writer.finish()] == [1, 1, 1]


def test_a_split_that_is_written_again_leaves_no_old_shards(tmp_path: Path, sharded: Shape) -> None:
    for count in (3, 1):
        writer = split_writer(sharded, tmp_path, name="x", split="train", shard_bytes=1)
        for row in numbered(count):
            writer.add(row, [RED])
        [*_, last] = writer.finish()
    assert [Path(name).stem for name in tree(tmp_path)] == ["train-00000-of-00001"]
    assert last.rows == 1


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("keep me")
    with pytest.raises(UsageError, match=r"out holds other files \(letter\.txt\); choose a new or empty folder"):
        write_folder(tmp_path / "out", "parquet")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "letter.txt"]
    with pytest.raises(UsageError, match=r"letter\.txt is a file; choose a new or empty folder"):
        write_folder(tmp_path / "out" / "letter.txt", "parquet")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_folder(tmp_path / "out", "parquet")
    assert len(phidata.load(tmp_path / "out")) == 3


def test_a_folder_that_can_not_be_replaced_is_filled(tmp_path: Path, shape: Shape) -> None:
    (tmp_path / "disk").mkdir()
    inode = (tmp_path / "disk").stat().st_ino
    (tmp_path / "out").symlink_to("disk")
    write_folder(tmp_path / "out", shape)
    write_folder(tmp_path / "new", shape)
    assert (tmp_path / "disk").stat().st_ino == inode
    assert (tmp_path / "out").is_symlink()
    assert tree(tmp_path / "disk") == tree(tmp_path / "new")
    assert phidata.verify(tmp_path / "out").mismatches == ()


def test_what_a_killed_run_has_left_in_an_empty_folder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "out" / ".unfinished" / "data").mkdir(parents=True)
    (tmp_path / "out" / ".unfinished" / "data" / ".0000000001000001.tmp").write_bytes(b"half")
    write_folder(tmp_path / "out", "parquet")
    write_folder(tmp_path / "new", "parquet")
    assert tree(tmp_path / "out") == tree(tmp_path / "new")


def test_an_empty_folder_is_empty_again_when_it_does_not_end_well(tmp_path: Path, shape: Shape) -> None:
    def fail() -> None:
        with writer_of(tmp_path / "out", shape) as writer:
            writer.add("train", numbered(1)[0], [RED])
            raise ZeroDivisionError

    (tmp_path / "out").mkdir()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


def test_a_folder_that_another_process_is_making_is_refused(tmp_path: Path) -> None:
    other = tmp_path / ".out.unfinished"
    other.mkdir()
    descriptor = os.open(other, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match=r"another process is writing .*/out; wait for it or choose another"):
            write_folder(tmp_path / "out", "parquet")
        assert other.is_dir()
    finally:
        os.close(descriptor)


def test_a_folder_that_another_process_has_just_finished_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: int) -> None:
        (tmp_path / ".out.unfinished" / "manifest.json").touch()
        (tmp_path / ".out.unfinished").rename(tmp_path / "out")

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UsageError, match=r"out holds other files \(manifest\.json\); choose a new or empty folder"):
        write_folder(tmp_path / "out", "parquet")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "manifest.json"]


def test_a_folder_that_another_process_has_just_given_up_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def late(*_: int) -> None:
        (tmp_path / ".out.unfinished").rmdir()
        monkeypatch.setattr(fcntl, "flock", lock)

    monkeypatch.setattr(fcntl, "flock", late)
    write_folder(tmp_path / "out", "parquet")
    assert len(phidata.load(tmp_path / "out")) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_can_not_be_cleared_is_refused_and_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    (tmp_path / ".out.unfinished").mkdir()
    (tmp_path / ".out.unfinished" / "old").touch()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        with pytest.raises(UsageError, match=r"out can not be written \(Permission denied\); choose another folder"):
            write_folder(tmp_path / "out", "parquet")
    write_folder(tmp_path / "out", "parquet")  # nobody holds the lock
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_place_that_was_filled_meanwhile_is_refused(tmp_path: Path, shape: Shape) -> None:
    with writer_of(tmp_path / "out", shape) as writer:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "letter.txt").touch()
        with pytest.raises(UsageError, match=r"holds other files \(letter\.txt\)"):
            writer.finish()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["letter.txt", "out"]


def test_one_path_for_two_images_is_refused(tmp_path: Path, shape: Shape) -> None:
    first, second = numbered(2)
    with writer_of(tmp_path / "out", shape) as writer:
        writer.add("train", first, [RED])
        with pytest.raises(DataError, match=r"^row 'row-1': two different images are called 'train/a\.png'; "):
            writer.add("train", second, [GREEN])


def test_an_image_path_that_leads_out_of_the_folder_is_never_written(tmp_path: Path) -> None:
    turn = Turn(images=("../../x.png",), user="u", assistant="a")
    row = Conversation(id="r", source="s", conversations=(turn,))
    with pytest.raises(DataError, match="leads out of"), writer_of(tmp_path / "out") as writer:
        writer.add("train", row, [RED])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("split", ["", "a/b", "..", "träin ing", "train-1"])
def test_what_can_not_be_the_name_of_a_split_is_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(UsageError, match="can not be the name of a split; use letters, digits and underscores"):
        write_folder(tmp_path / "out", "parquet", splits=(split,))
    assert list(tmp_path.iterdir()) == []


def test_the_same_id_twice_in_a_row_is_refused_where_it_would_join_two_rows(tmp_path: Path) -> None:
    writer = split_writer("webdataset", tmp_path, name="x", split="train")
    writer.add(numbered(1)[0], [RED])
    with pytest.raises(DataError, match="two rows in a row have the id 'row-0'"):
        writer.add(numbered(1)[0], [RED])
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_card_tells_the_hub_where_the_splits_are(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "parquet", numbered(2), splits=("train", "val"), shard_bytes=1)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        '  - split: "train"\n    path:\n'
        "    - data/train-00000-of-00002.parquet\n    - data/train-00001-of-00002.parquet\n"
        '  - split: "val"\n    path:\n'
        "    - data/val-00000-of-00002.parquet\n    - data/val-00001-of-00002.parquet\n"
        "---\n\n# birds\n"
    )
    assert "| train | 2 | 2 |" in card


def test_the_lines_of_a_ledger_add_up_to_what_the_manifest_says() -> None:
    file = DataFile(name="birds_train.jsonl", rows=3, bytes=9, sha256="0" * 64)
    lines = [
        LedgerLine(split="train", outcome="written", count=3),
        LedgerLine(split="train", outcome="skipped", count=2, reason="is a duplicate"),
        LedgerLine(split=None, outcome="skipped", count=1, reason="has no split"),
        LedgerLine(split="val", outcome="failed", count=1, reason="its image is gone"),
    ]
    assert ledgers(lines, {"val": (), "train": (file,)}) == (
        RowLedger(rows_in=7, written=3, skipped=3, failed=1, skip_reasons={"has no split": 1, "is a duplicate": 2}),
        {
            "val": SplitLedger(files=(), rows_in=1, written=0, skipped=0, failed=1),
            "train": SplitLedger(files=(file,), rows_in=5, written=3, skipped=2, failed=0),
        },
    )
