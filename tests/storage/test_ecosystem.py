"""The libraries that people load data with open every shape without our code."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

import phidata
from phidata.storage.columns import FEATURES, SCHEMA
from phidata.storage.shape import Shape
from phidata.storage.writer import DatasetWriter

from .conftest import GREEN, RED, ROWS, numbered, write_folder

COLUMNS = ["id", "source", "conversations", "metadata"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def assert_decoded(rows: Any) -> None:
    """The first row, as the `datasets` library shows it, with its pictures decoded."""
    assert rows.column_names == COLUMNS
    assert rows["id"][:] == [row.id for row in ROWS]
    turns = rows[0]["conversations"]
    assert [len(turn["images"]) for turn in turns] == [2, 0, 2]
    first, second = turns[0]["images"]
    assert (first.format, first.getpixel((0, 0)), second.format) == ("PNG", (200, 10, 10), "JPEG")
    assert [(turn["user"], turn["assistant"], turn["answers"]) for turn in turns] == [
        (turn.user, turn.assistant, None if turn.answers is None else list(turn.answers))
        for turn in ROWS[0].conversations
    ]
    assert rows["metadata"][:] == [
        '{"big":1180591620717411303424,"float":0.1,"whole":3.0,"nested":{"list":[null,true,"x",{}]},"":""}',
        None,
        "{}",
    ]


def test_the_schema_tells_datasets_what_is_a_picture() -> None:
    import datasets

    assert datasets.Features.from_arrow_schema(SCHEMA) == datasets.Features.from_dict(FEATURES)
    assert SCHEMA.remove_metadata() == datasets.Features.from_dict(FEATURES).arrow_schema.remove_metadata()


def test_load_from_disk_opens_the_arrow_folder_and_its_splits(tmp_path: Path) -> None:
    import datasets

    write_folder(tmp_path / "out", "arrow", splits=("train", "val"), shard_bytes=200)
    found = datasets.load_from_disk(str(tmp_path / "out"))
    assert {split: rows.num_rows for split, rows in found.items()} == {"train": 3, "val": 3}
    assert found["val"]["id"][:] == [f"val-{row.id}" for row in ROWS]
    write_folder(tmp_path / "one", "arrow")
    assert_decoded(datasets.load_from_disk(str(tmp_path / "one"))["train"])
    assert_decoded(datasets.load_from_disk(str(tmp_path / "one" / "train")))


@pytest.mark.parametrize("shape", ["arrow", "parquet"])
def test_load_dataset_opens_the_folder_by_its_card(tmp_path: Path, shape: Shape) -> None:
    import datasets

    write_folder(tmp_path / "out", shape, shard_bytes=200)
    found = datasets.load_dataset(str(tmp_path / "out"))
    assert list(found) == ["train"]
    assert_decoded(found["train"])


def test_load_dataset_opens_the_parquet_files_by_name(tmp_path: Path) -> None:
    import datasets

    write_folder(tmp_path / "out", "parquet", shard_bytes=200)
    pattern = str(tmp_path / "out" / "data" / "train-*.parquet")
    assert_decoded(datasets.load_dataset("parquet", data_files=pattern, split="train"))
    streamed = datasets.load_dataset("parquet", data_files=pattern, split="train", streaming=True)
    assert [row["id"] for row in streamed] == [row.id for row in ROWS]


def test_load_dataset_opens_the_jsonl_files_by_their_card(tmp_path: Path) -> None:
    import datasets

    write_folder(tmp_path / "out", "images-jsonl", numbered(3), splits=("train", "val"))
    found = datasets.load_dataset(str(tmp_path / "out"))
    assert {split: rows["id"][:] for split, rows in found.items()} == {
        split: [f"{split}-row-{number}" for number in range(3)] for split in ("train", "val")
    }
    assert found["train"][0]["conversations"][0]["images"] == ["train/a.png"]


def test_load_dataset_opens_the_tars_where_rows_have_the_same_number_of_images(tmp_path: Path) -> None:
    import datasets

    write_folder(tmp_path / "out", "webdataset", numbered(3))
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert [row["json"]["id"] for row in rows] == ["row-0", "row-1", "row-2"]
    assert rows[0]["0.png"].getpixel((0, 0)) == (200, 10, 10)


def test_load_dataset_opens_a_folder_of_which_one_split_has_no_rows(tmp_path: Path, shape: Shape) -> None:
    import datasets

    with DatasetWriter(
        tmp_path / "out", name="birds", converter="split", versions={}, splits=("no", "val"), shape=shape
    ) as writer:
        writer.add("no", numbered(1)[0], [RED])
        writer.finish()
    assert {split: rows.num_rows for split, rows in datasets.load_dataset(str(tmp_path / "out")).items()} == {"no": 1}


def test_pyarrow_reads_parquet_and_arrow(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for shape in ("arrow", "parquet"):
        write_folder(tmp_path / shape, shape)  # type: ignore[arg-type]  # a literal in a loop
    with pa.memory_map(str(tmp_path / "arrow" / "train" / "train-00000-of-00001.arrow")) as file:
        mapped = pa.ipc.open_stream(file).read_all()
        table = pq.read_table(tmp_path / "parquet" / "data" / "train-00000-of-00001.parquet")
        assert mapped.equals(table)
    images = [image for turn in table["conversations"][0].as_py() for image in turn["images"]]
    assert [(image["path"], image["bytes"]) for image in images] == [
        ("train/a.png", RED),
        ("train/b.c d.é.jpg", GREEN),
        ("train/a.png", RED),
        ("train/a.png", RED),
    ]
    assert (
        pq.read_metadata(tmp_path / "parquet" / "data" / "train-00000-of-00001.parquet")
        .row_group(0)
        .column(0)
        .compression
        == "ZSTD"
    )


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset leaves it to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_tars(tmp_path: Path) -> None:
    import webdataset

    write_folder(tmp_path / "out", "webdataset", shard_bytes=200)
    urls = sorted(map(str, (tmp_path / "out").glob("train-*.tar")))
    assert len(urls) == 3
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert [sample["json"]["id"] for sample in found] == [row.id for row in ROWS]
    assert found[0]["json"]["metadata"]["big"] == 2**70
    assert found[0]["0.png"].getpixel((0, 0)) == (200, 10, 10)
    assert [sorted(key for key in sample if key[0].isdigit()) for sample in found] == [
        ["0.png", "1.jpg", "2.png", "3.png"],
        [],
        ["0.png"],
    ]
    assert len({sample["__key__"] for sample in found}) == 3


def test_tarfile_reads_the_tars(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "webdataset")
    with tarfile.open(tmp_path / "out" / "train-00000-of-00001.tar") as package:
        found = [(member.name, member.mtime, member.mode) for member in package]
        assert found[0] == ("plain-0.json", 0, 0o644)
        assert len(found) == 8
        image = package.extractfile("plain-0.1.jpg")
        assert image is not None
        assert image.read() == GREEN


def test_a_torch_data_loader_reads_every_shape_with_workers(tmp_path: Path, shape: Shape) -> None:
    torch = pytest.importorskip("torch")
    write_folder(tmp_path / "out", shape, numbered(20), shard_bytes=1000)
    data = phidata.load(tmp_path / "out")
    loader = torch.utils.data.DataLoader(Sizes(data), batch_size=None, num_workers=2)
    assert list(loader) == [[f"row-{number}", len(RED)] for number in range(20)]


class Sizes:
    def __init__(self, data: phidata.ConversationData) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, number: int) -> tuple[str, int]:
        return self.data[number].id, len(self.data.image_bytes(number)[0])


def test_to_hf_is_the_same_for_every_shape(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape)
    data = phidata.load(tmp_path / "out")
    assert_decoded(data.to_hf())
    paths = data[1:].to_hf(decode_images=False)
    assert [row["conversations"][0]["images"] for row in paths] == [[], ["train/a.png"]]
