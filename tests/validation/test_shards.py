"""Shards: the same findings as a jsonl file of the same rows has, with the row in place of the line."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import phidata
from phidata import Conversation, Turn, UsageError
from phidata.cli import main
from phidata.diagnostics import Diagnostic
from phidata.storage.columns import SCHEMA
from phidata.storage.shape import Shape
from phidata.storage.tar import END, header, padding
from phidata.storage.writer import DatasetWriter
from phidata.validation.accept import accept
from phidata.validation.column_texts import ColumnTexts

from .strategies import answers, odd_values, paths, says, words

SHARDS: tuple[Shape, ...] = ("arrow", "parquet", "webdataset")
HERE = Path(__file__).parent


def png() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = {
    "good.png": png(),
    "cut.jpg": (HERE / "images" / "pillow" / "truncated_jpeg.jpg").read_bytes(),
    "text.jpg": b"not found",
}


def conversation(id_: str, *images: str, user: str = "u", metadata: dict[str, Any] | None = None) -> Conversation:
    return Conversation(
        id=id_,
        source="s",
        conversations=(Turn(images=images, user=user, assistant="x", answers=("x",)),),
        metadata=metadata,
    )


ROWS = [
    conversation("a", "good.png"),
    conversation("b", user=" "),
    conversation("c", "../up.png", metadata={"a": [1, None]}),
    conversation("d", "cut.jpg", "text.jpg", user="<|end|>"),
    conversation("a"),
]


def written(root: Path, shape: Shape, shard_bytes: int = 1 << 29) -> Path:
    with DatasetWriter(
        root, name="set", converter="merge", versions={}, splits=("train",), shape=shape, shard_bytes=shard_bytes
    ) as writer:
        for row in ROWS:
            writer.add("train", row, [IMAGES.get(name, IMAGES["good.png"]) for name in row.images])
        writer.finish()
    return root


def brief(found: tuple[Diagnostic, ...]) -> list[tuple[str, int | None, str, str, str | None]]:
    return [(item.code, item.row, item.pointer, item.message, item.id) for item in found]


@pytest.mark.parametrize("shape", SHARDS)
def test_every_shape_gives_the_findings_of_the_same_rows(tmp_path: Path, shape: Shape) -> None:
    report = phidata.validate(written(tmp_path / "data", shape), media="decode")
    assert brief(report.diagnostics) == [
        ("PHI202", 2, "/conversations/0/user", "`user` is only white space", "b"),
        ("PHI302", 3, "/conversations/0/images/0", "image path '../up.png' climbs out of a folder by '..'", "c"),
        (
            "PHI406",
            4,
            "/conversations/0/images/0",
            "image 'cut.jpg' can not be decoded: image file is truncated (8 bytes not processed)",
            "d",
        ),
        (
            "PHI405",
            4,
            "/conversations/0/images/1",
            "image 'text.jpg' is not an image: it begins with 'not found'",
            "d",
        ),
        ("PHI203", 4, "/conversations/0/user", "`user` spells the model's control token <|end|>", "d"),
        ("PHI201", 5, "/id", "the id 'a' is also that of row 1", "a"),
    ]
    assert (report.rows, report.turns, report.images) == (5, 5, 4)
    assert not report.fixable


@pytest.mark.parametrize("shape", SHARDS)
def test_media_says_how_closely_images_are_looked_at(tmp_path: Path, shape: Shape) -> None:
    root = written(tmp_path / "data", shape)
    for media, expected in (("none", []), ("exists", []), ("header", ["PHI405"]), ("decode", ["PHI406", "PHI405"])):
        report = phidata.validate(root, media=media, select="PHI4")  # type: ignore[arg-type]
        assert [item.code for item in report.diagnostics] == expected, media


@pytest.mark.parametrize("shape", SHARDS)
def test_ids_are_unique_over_all_shards(tmp_path: Path, shape: Shape) -> None:
    root = written(tmp_path / "data", shape, shard_bytes=1)
    [finding] = [item for item in phidata.validate(root).diagnostics if item.code == "PHI201"]
    assert (Path(finding.path).name.startswith("train-00004-of-00005."), finding.row) == (True, 1)
    assert finding.message.endswith(": row 1")
    assert "train-00000-of-00005" in finding.message


@pytest.mark.parametrize("shape", SHARDS)
def test_the_number_of_jobs_does_not_show(tmp_path: Path, shape: Shape) -> None:
    root = written(tmp_path / "data", shape, shard_bytes=1)
    assert phidata.validate(root, media="decode", jobs=2) == phidata.validate(root, media="decode")


@pytest.mark.parametrize("shape", SHARDS)
def test_a_shard_can_be_given_by_itself(tmp_path: Path, shape: Shape) -> None:
    root = written(tmp_path / "data", shape)
    [shard] = [path for path in root.rglob("train-*") if path.is_file()]
    assert phidata.validate(shard, media="none").rows == 5
    with pytest.raises(UsageError, match="holds its images itself; leave out the image folder"):
        phidata.validate(shard, images=tmp_path)


@pytest.mark.parametrize("shape", SHARDS)
def test_a_shard_that_was_cut_is_one_finding(tmp_path: Path, shape: Shape) -> None:
    root = written(tmp_path / "data", shape)
    [shard] = [path for path in root.rglob("train-*") if path.is_file()]
    shard.write_bytes(shard.read_bytes()[:-1100])
    [finding] = phidata.validate(root).diagnostics
    assert (finding.code, finding.path, finding.severity) == ("PHI017", str(shard), "error")


def test_a_table_of_something_else_is_one_finding(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "x.parquet")
    [finding] = phidata.validate(tmp_path / "x.parquet").diagnostics
    assert (finding.code, finding.message) == (
        "PHI017",
        "this file does not hold conversations: it has the columns text and not id, source, conversations; "
        "`phidata convert --from table --source …` converts others",
    )


def table(**changes: Any) -> pa.Table:
    image = {"bytes": IMAGES["good.png"], "path": "good.png"}
    turn = {"images": [image], "user": "u", "assistant": "x", "answers": None}
    row = {"id": "a", "source": "s", "conversations": [turn], "metadata": None}
    for key, value in changes.items():
        if key in turn:
            turn[key] = value
        else:
            row[key] = value
    return pa.Table.from_pylist([row], SCHEMA)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": None}, [("PHI101", "/id", "`id` has to be a string, found null")]),
        ({"conversations": None}, [("PHI101", "/conversations", "`conversations` has to be a list, found null")]),
        ({"conversations": []}, [("PHI104", "/conversations", "`conversations` is an empty list")]),
        (
            {"conversations": [None]},
            [("PHI101", "/conversations/0", "`conversations[0]` has to be an object, found null")],
        ),
        (
            {"images": None},
            [("PHI101", "/conversations/0/images", "`images` has to be a list, found null")],
        ),
        ({"answers": [""]}, [("PHI105", "/conversations/0/answers/0", "`answers[0]` is empty")]),
        ({"answers": []}, [("PHI104", "/conversations/0/answers", "`answers` is an empty list")]),
        ({"metadata": "{"}, [("PHI101", "/metadata", "`metadata` has to be an object, found the string '{'")]),
        ({"metadata": '{"a": 1, "a": 2}'}, [("PHI012", "/metadata/a", None)]),
        (
            {"images": [{"bytes": None, "path": "gone.png"}]},
            [("PHI401", "/conversations/0/images/0", "image 'gone.png' is not in the shard")],
        ),
        (
            {"images": [{"bytes": b"", "path": "none.png"}]},
            [("PHI403", "/conversations/0/images/0", "image 'none.png' has no bytes in the shard")],
        ),
        (
            {"images": [{"bytes": IMAGES["good.png"], "path": None}]},
            [("PHI101", "/conversations/0/images/0", "`images[0]` has to be a string, found null")],
        ),
    ],
)
def test_what_columns_can_have_wrong(
    tmp_path: Path, suffix: str, changes: dict[str, Any], expected: list[tuple[str, str, str | None]]
) -> None:
    file = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        pq.write_table(table(**changes), file)
    else:
        with pa.ipc.new_stream(file, SCHEMA) as stream:
            stream.write_table(table(**changes))
    found = phidata.validate(file).diagnostics
    assert [(item.code, item.pointer, item.row) for item in found] == [(*entry[:2], 1) for entry in expected]
    assert all(item.message == entry[2] for item, entry in zip(found, expected, strict=True) if entry[2])


def test_text_that_is_not_utf8_is_found_in_columns(tmp_path: Path) -> None:
    raw = pa.array([b"\xff"]).cast(pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 1, raw.buffers())
    good = table()
    pq.write_table(good.set_column(1, "source", broken), tmp_path / "rows.parquet")
    [finding] = phidata.validate(tmp_path / "rows.parquet", media="none").diagnostics
    assert (finding.code, finding.message) == ("PHI003", "the byte 0xFF is not UTF-8")


def test_the_json_of_a_tar_is_checked_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "x.tar"
    row = b'{"id": "a",\n "source": 5, "conversations": []}'
    file.write_bytes(header("a.json", len(row)) + row + padding(len(row)) + END)
    found = phidata.validate(file).diagnostics
    assert [(item.code, item.row, item.column) for item in found] == [("PHI101", 1, 24), ("PHI104", 1, 44)]


def test_findings_in_a_shard_are_written_with_the_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = written(tmp_path / "data", "parquet")
    assert main(["validate", str(root), "--media", "none", "--select", "PHI202"]) == 1
    assert capsys.readouterr().out.startswith(
        f"{root}/data/train-00000-of-00001.parquet: row 2: error PHI202: `user` is only white space\n"
        '  2 | {"id":"b"'.split("{")[0]
    )
    assert main(["validate", str(root), "--media", "none", "--select", "PHI202", "--format", "json"]) == 1
    finding = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (finding["row"], finding["id"], "line" in finding) == (2, "b", False)


texts = says | st.none() | odd_values.filter(lambda value: isinstance(value, str))
images = st.fixed_dictionaries({"bytes": st.just(b"x"), "path": paths | texts})
column_turns = st.fixed_dictionaries(
    {"images": st.none() | st.lists(images, max_size=2), "user": texts, "assistant": texts,
     "answers": answers | st.lists(texts, max_size=2)}
)  # fmt: skip
column_rows = st.fixed_dictionaries(
    {
        "id": words | st.none() | st.just(""),
        "source": words | st.none(),
        "conversations": st.none() | st.lists(column_turns | st.none(), max_size=2),
        "metadata": st.none() | st.sampled_from(["{}", '{"a": 1}', "[]", "{", '{"a": 1, "a": 2}', '{"a": 1e999}', "é"]),
    }
)


@settings(max_examples=400, deadline=None)
@given(st.lists(column_rows, min_size=1, max_size=4))
def test_a_row_told_clean_by_its_columns_is_clean_as_a_line(rows: list[dict[str, Any]]) -> None:
    batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
    columns = ColumnTexts([batch.slice(0, 1), batch.slice(1)] if len(rows) > 1 else [batch])
    lines = columns.lines(range(len(rows)))
    for suspect, line in zip(columns.suspects(), lines, strict=True):
        assert suspect or accept([line]), line


@settings(max_examples=100, deadline=None)
@given(st.lists(says, min_size=1, max_size=5), st.lists(paths, max_size=3))
def test_ordinary_rows_are_told_clean_by_their_columns(several: list[str], names: list[str]) -> None:
    turns = [
        {"images": [{"path": name} for name in names], "user": text, "assistant": text, "answers": [text]}
        for text in several
    ]
    row = {"id": "a", "source": "s", "conversations": turns, "metadata": '{"a": 1}'}
    columns = ColumnTexts([pa.RecordBatch.from_pylist([row], SCHEMA)])
    clean = accept(columns.lines([0])) is not None
    unusual = any("<|" in text or not text.isprintable() for text in several) or any(":" in name for name in names)
    assert columns.suspects().tolist() == [not clean] or unusual


def test_an_arrow_file_is_told_from_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    with pa.ipc.new_file(str(path), SCHEMA) as writer:
        writer.write_table(SCHEMA.empty_table())
    [found] = phidata.validate(path).diagnostics
    assert (found.code, found.message) == (
        "PHI017",
        "this file is an Arrow IPC file, and a shard is an Arrow IPC stream; write it anew with pyarrow.ipc.new_stream",
    )
