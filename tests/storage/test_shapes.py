"""What is written in any shape is read again as it was, row by row, by number, in pieces, in other processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from validation import strategies  # the other package of tests

import phidata
from phidata import Conversation, Turn, UsageError
from phidata.storage.shape import Shape, parse_size
from phidata.storage.splits import split_writer
from phidata.storage.stores import open_file

from .conftest import GREEN, RED, ROW_BYTES, ROWS, images_of, numbered, tree, write_folder


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(strategies.rows, max_size=6), data=st.data())
def test_rows_and_images_come_back_as_they_were_written(
    shape: Shape, rows: list[dict[str, object]], data: st.DataObject
) -> None:
    written = [msgspec.convert({**row, "id": f"{number}{row['id']}"}, Conversation) for number, row in enumerate(rows)]
    paths = {path for row in written for path in row.images}
    images = {path: data.draw(st.binary(max_size=40), label=path) for path in sorted(paths)}
    with TemporaryDirectory() as folder:
        writer = split_writer(shape, Path(folder), name="x", split="train", shard_bytes=300)
        for row in written:
            writer.add(row, [images[path] for path in row.images])
        writer.finish()
        read = phidata.load(folder)
        assert list(read) == written
        assert [read[number] for number in range(len(read))] == written
        assert [read.image_bytes(number) for number in range(len(read))] == [
            [images[path] for path in row.images] for row in written
        ]


def test_special_content_survives(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape)
    data = phidata.load(tmp_path / "out", split="train")
    assert list(data) == list(ROWS)
    assert [data.image_bytes(number) for number in range(3)] == [images_of(row) for row in ROWS]
    assert data[0].metadata == ROWS[0].metadata
    assert [(type(value), value) for value in (data[0].metadata or {}).values()][:3] == [
        (int, 2**70),
        (float, 0.1),
        (float, 3.0),
    ]
    assert data[2].metadata == {}


def test_images_are_decoded_when_asked(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape)
    data = phidata.load(tmp_path / "out")
    assert [image.getpixel((0, 0)) for image in data.images(0)][::2] == [(200, 10, 10), (200, 10, 10)]
    assert [len(data.images(0, num_turns=turns)) for turns in (1, 2, 3)] == [2, 2, 4]
    assert [data.missing_images(number) for number in range(3)] == [[], [], []]


def test_two_runs_write_the_same_bytes(tmp_path: Path, shape: Shape) -> None:
    for name in ("first", "second"):
        write_folder(tmp_path / name, shape, [*ROWS, *numbered(40)], splits=("train", "val"), shard_bytes=2000)
    assert tree(tmp_path / "first") == tree(tmp_path / "second")


def test_a_shard_ends_before_the_row_that_would_be_too_much(tmp_path: Path, sharded: Shape) -> None:
    rows = numbered(10)
    [split] = write_folder(tmp_path / "out", sharded, rows, shard_bytes=4 * ROW_BYTES).splits.values()
    assert [file.rows for file in split.files] == [4, 4, 2]
    assert [Path(file.name).stem for file in split.files] == [f"train-{k:05}-of-00003" for k in range(3)]
    assert [row.id for row in phidata.load(tmp_path / "out")] == [row.id for row in rows]


def test_a_row_larger_than_a_shard_has_one_of_its_own(tmp_path: Path, sharded: Shape) -> None:
    [split] = write_folder(tmp_path / "out", sharded, numbered(3), shard_bytes=1).splits.values()
    assert [file.rows for file in split.files] == [1, 1, 1]


def test_a_split_without_rows_is_there(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape, [], splits=("train", "test"))
    assert [list(phidata.load(tmp_path / "out", split)) for split in ("train", "test")] == [[], []]


def test_views_and_shards_of_ranks_are_the_same_for_every_shape(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape, numbered(25), shard_bytes=1000)
    data = phidata.load(tmp_path / "out")
    ids = [f"row-{number}" for number in range(25)]
    assert len(data) == 25
    for part in (slice(3, 19), slice(None, None, 3), slice(20, 2, -4), slice(1, 24, 11), slice(5, 5)):
        assert [row.id for row in data[part]] == ids[part]
        assert [data[part][number].id for number in range(len(ids[part]))] == ids[part]
    assert [row.id for row in data[2:].shard(1, 4)[1:]] == ids[2:][1::4][1:]
    assert data[-1].id == "row-24"
    with pytest.raises(IndexError):
        data[25]


def test_messages_name_shard_row_and_id(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "parquet", numbered(10), shard_bytes=4 * ROW_BYTES)
    data = phidata.load(tmp_path / "out")
    assert data.where(5) == f"{tmp_path}/out/data/train-00001-of-00003.parquet: row 2: row 'row-5'"
    assert repr(data) == f"ConversationData('{tmp_path}/out/data', rows=10)"


def test_one_shard_is_loaded_by_itself(tmp_path: Path, sharded: Shape) -> None:
    manifest = write_folder(tmp_path / "out", sharded, numbered(10), shard_bytes=4 * ROW_BYTES)
    data = phidata.load(tmp_path / "out" / manifest.splits["train"].files[1].name)
    assert [row.id for row in data] == ["row-4", "row-5", "row-6", "row-7"]
    assert data.image_bytes(3) == [RED]


def test_a_folder_of_shards_needs_no_manifest(tmp_path: Path, sharded: Shape) -> None:
    write_folder(tmp_path / "out", sharded, numbered(10), splits=("train", "val"), shard_bytes=500)
    (tmp_path / "out" / "manifest.json").unlink()
    assert [row.id for row in phidata.load(tmp_path / "out", "val")] == [f"val-row-{number}" for number in range(10)]


def test_opened_data_is_sent_to_processes_and_shared_by_threads(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape, numbered(30), shard_bytes=1000)
    data = phidata.load(tmp_path / "out")
    assert data.image_bytes(0) == [RED]
    assert [row.id for row in pickle.loads(pickle.dumps(data))[28:]] == ["row-28", "row-29"]
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda number: data[number % 30].id, range(200)))
        images = set(threads.map(lambda number: data.image_bytes(number % 30)[0], range(200)))
    assert ids == [f"row-{number % 30}" for number in range(200)]
    assert images == {RED}


def test_data_opened_before_a_fork_is_read_after_it(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape, numbered(8), shard_bytes=300)
    program = f"""
import os, phidata
data = phidata.load({str(tmp_path / "out")!r})
assert data[3].id == "row-3" and data.image_bytes(3)
child = os.fork()
assert [row.id for row in data] == [f"row-{{k}}" for k in range(8)]
assert len({{data.image_bytes(k)[0] for k in range(8)}}) == 1
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_image_files_have_a_path_and_images_in_shards_none(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape, numbered(1))
    data = phidata.load(tmp_path / "out")
    if shape == "images-jsonl":
        assert data.image_path("train/a.png").read_bytes() == RED
        return
    assert data.image_root is None
    with pytest.raises(UsageError, match="lie in its shards, not in files; read them with image_bytes"):
        data.image_path("train/a.png")
    with pytest.raises(UsageError, match="holds its images itself; leave out the image folder"):
        phidata.load(tmp_path / "out", images=tmp_path)


def test_a_row_group_is_small_and_never_splits_a_row(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    big = {"train/a.png": bytes(200_000), "train/b.png": bytes(600_000)}
    writer = split_writer("parquet", tmp_path, name="x", split="train")
    for number in range(6):
        path = "train/b.png" if number == 5 else "train/a.png"
        turn = Turn(images=(path,), user="u", assistant="a")
        writer.add(Conversation(id=str(number), source="s", conversations=(turn,)), [big[path]])
    [file] = writer.finish()
    metadata = pq.read_metadata(tmp_path / file.name)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [2, 2, 1, 1]


def test_reading_text_reads_no_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "out", "parquet", numbered(3))
    store = open_file(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    monkeypatch.setattr("phidata.storage.parquet.ParquetGroups.images", lambda *_: pytest.fail("read images"))
    assert [row.id for row in store.rows(range(3))] == ["row-0", "row-1", "row-2"]


@pytest.mark.parametrize(
    ("text", "num_bytes"), [("512MB", 512 << 20), ("1.5G", 3 << 29), ("1000", 1000), ("2 kib", 2048), ("1TB", 1 << 40)]
)
def test_sizes_are_read_as_people_write_them(text: str, num_bytes: int) -> None:
    assert parse_size(text) == num_bytes


@pytest.mark.parametrize("text", ["", "MB", "-1", "0", "1PB", "1e6", "many"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size; write for example 512MB or 2GB"):
        parse_size(text)


def test_the_written_suffix_tells_what_an_image_is(tmp_path: Path) -> None:
    manifest = write_folder(tmp_path / "out", "webdataset")
    names = subprocess.run(
        ["tar", "tf", str(tmp_path / "out" / manifest.splits["train"].files[0].name)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert names[:5] == ["plain-0.json", "plain-0.0.png", "plain-0.1.jpg", "plain-0.2.png", "plain-0.3.png"]
    assert all(name.count(".") in (1, 2) and "/" not in name and len(name) <= 100 for name in names)
    assert GREEN.startswith(b"\xff\xd8\xff")


def test_a_tar_packed_again_by_another_program_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "webdataset")
    (tmp_path / "files").mkdir()
    shard = tmp_path / "out" / "train-00000-of-00001.tar"
    subprocess.run(["tar", "xf", str(shard), "-C", str(tmp_path / "files")], check=True)
    for kind in ("gnu", "pax", "ustar"):
        again = tmp_path / f"{kind}.tar"
        subprocess.run(
            ["tar", "cf", str(again), f"--format={kind}", "--sort=name", "-C", str(tmp_path / "files"), "."], check=True
        )
        data = open_file(again)
        found = {data.row(k).id: data.images(k, len(data.row(k).images)) for k in range(len(data))}
        assert found == {row.id: images_of(row) for row in ROWS}
