"""Rows of an Arrow shard are found by the places of its buffers, wherever they lie, or by batches where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import phidata
from phidata import Conversation, DataError, Turn
from phidata.storage.columns import SCHEMA
from phidata.storage.mapped_rows import mapped_rows

from .conftest import GREEN, RED

ROWS: list[dict[str, Any]] = [
    {
        "id": f"row-{number}",
        "source": "s",
        "conversations": [
            {
                "images": [{"bytes": RED, "path": "a.png"}, {"bytes": GREEN, "path": "é.jpg"}][: number % 3],
                "user": "Wie heißt das?" * number,
                "assistant": "日本",
                "answers": None if number % 2 else ["ja", ""],
            }
        ]
        * (number % 4),
        "metadata": None if number % 3 else '{"k":[1]}',
    }
    for number in range(20)
]

LARGE_TURN = pa.struct(
    {
        "user": pa.large_string(),
        "assistant": pa.string(),
        "answers": pa.large_list(pa.large_string()),
        "images": pa.large_list(pa.struct({"path": pa.large_string(), "bytes": pa.large_binary()})),
    }
)
LARGE = pa.schema(
    {
        "conversations": pa.large_list(LARGE_TURN),
        "metadata": pa.large_string(),
        "source": pa.string(),
        "id": pa.large_string(),
    }
)


def write_stream(path: Path, schema: pa.Schema, *, compression: str | None = None, batch_rows: int = 6) -> Path:
    options = pa.ipc.IpcWriteOptions(compression=compression)
    table = pa.Table.from_pylist(ROWS, schema=schema)
    with pa.OSFile(str(path), "w") as file, pa.ipc.new_stream(file, schema, options=options) as stream:
        stream.write_table(table, max_chunksize=batch_rows)
    return path


def expected(row: dict[str, Any]) -> Conversation:
    turns = [
        Turn(
            images=tuple(image["path"] for image in turn["images"]),
            user=turn["user"],
            assistant=turn["assistant"],
            answers=None if turn["answers"] is None else tuple(turn["answers"]),
        )
        for turn in row["conversations"]
    ]
    metadata = None if row["metadata"] is None else {"k": [1]}
    return Conversation(id=row["id"], source="s", conversations=tuple(turns), metadata=metadata)


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("schema", [SCHEMA, LARGE], ids=["small", "large"])
def test_rows_and_images_are_those_that_were_written(
    tmp_path: Path, schema: pa.Schema, compression: str | None
) -> None:
    path = write_stream(tmp_path / "x.arrow", schema, compression=compression)
    data = phidata.load(path)
    assert [data[number] for number in reversed(range(20))] == [expected(row) for row in reversed(ROWS)]
    assert list(data) == [expected(row) for row in ROWS]
    assert list(data[::3]) == [expected(row) for row in ROWS[::3]]
    assert [data.image_bytes(number) for number in range(20)] == [
        [image["bytes"] for turn in row["conversations"] for image in turn["images"]] for row in ROWS
    ]
    assert [data.missing_images(number) for number in range(20)] == [[]] * 20


def test_only_what_lies_in_the_file_as_it_is_is_mapped(tmp_path: Path) -> None:
    assert mapped_rows(write_stream(tmp_path / "x.arrow", SCHEMA)) is not None
    assert mapped_rows(write_stream(tmp_path / "y.arrow", SCHEMA, compression="lz4")) is None


def test_an_offset_that_leads_out_of_its_batch_is_told(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "x.arrow", SCHEMA, batch_rows=20)
    ends = b"".join(end.to_bytes(4, "little") for end in (0, 5, 10, 15, 20))  # of the ids
    content = path.read_bytes()
    assert content.count(ends) == 1
    path.write_bytes(content.replace(ends, ends[:4] + (1 << 20).to_bytes(4, "little") + ends[8:]))
    data = phidata.load(path)
    assert data[2].id == "row-2"
    for row in (1, 2):
        with pytest.raises(DataError) as refusal:
            data[row - 1]
        what = "this row is not a conversation (an offset leads out of its record batch)"
        assert str(refusal.value) == f"{path}: row {row}: {what}; make the folder again"


def test_an_image_that_is_not_in_the_shard_is_named(tmp_path: Path) -> None:
    turn = {"images": [{"bytes": None, "path": "a.png"}, {"bytes": RED, "path": "b.png"}], "user": "u", "assistant": ""}
    table = pa.Table.from_pylist([{"id": "a", "source": "s", "conversations": [turn]}], schema=SCHEMA)
    path = tmp_path / "x.arrow"
    with pa.OSFile(str(path), "w") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
        stream.write_table(table)
    data = phidata.load(path)
    assert data.missing_images(0) == ["a.png"]
    with pytest.raises(DataError, match=r"row 1: row 'a': image 'a\.png' has no bytes in the shard"):
        data.image_bytes(0)


@pytest.mark.parametrize("suffix", ["arrow", "parquet"])
def test_an_answer_that_is_null_makes_no_row(tmp_path: Path, suffix: str) -> None:
    import pyarrow.parquet as pq

    turn = {"images": [], "user": "u", "assistant": "a", "answers": ["b", None]}
    table = pa.Table.from_pylist([{"id": "a", "source": "s", "conversations": [turn]}], schema=SCHEMA)
    path = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "w") as file, pa.ipc.new_stream(file, SCHEMA) as stream:
            stream.write_table(table)
    with pytest.raises(
        DataError, match=r"row 1: this row is not a conversation \(one of the answers of a turn is null"
    ):
        phidata.load(path)[0]
