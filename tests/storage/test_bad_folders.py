"""Half a shard, a missing one, somebody else's files: each is one sentence that says where and what to do."""

from __future__ import annotations

import io
import json
import random
import re
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import phidata
from phidata import Conversation, DataError, Turn, UsageError
from phidata.storage.columns import SCHEMA
from phidata.storage.manifest import Manifest
from phidata.storage.shape import Shape
from phidata.storage.splits import split_writer

from .conftest import RED, ROW_BYTES, ROWS, numbered, write_folder

ROW: dict[str, Any] = {
    "id": "a",
    "source": "s",
    "conversations": [
        {"images": [{"bytes": RED, "path": "a.png"}], "user": "u", "assistant": "v", "answers": None},
    ],
    "metadata": None,
}


def the_shard(folder: Path) -> Path:
    [shard] = [path for path in folder.rglob("train-*") if path.is_file()]
    return shard


def write_parquet(path: Path, *rows: dict[str, Any], schema: pa.Schema = SCHEMA) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


def write_tar(path: Path, **members: bytes) -> Path:
    with tarfile.open(path, "w") as package:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return path


def file_name(manifest: Manifest) -> str:
    [file] = manifest.splits["train"].files
    return file.name


def read_all(path: Path) -> None:
    data = phidata.load(path)
    for number in range(len(data)):
        data.image_bytes(number)


def fault(path: Path) -> str | None:
    try:
        read_all(path)
    except DataError as error:
        return str(error)
    return None


def refusal(path: Path) -> str:
    """What is said about a file or folder when all of it is read."""
    with pytest.raises((DataError, UsageError)) as caught:
        read_all(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.6, 0.9, 0.98])
def test_a_shard_that_is_cut_short_is_never_read_as_a_smaller_one(tmp_path: Path, sharded: Shape, kept: float) -> None:
    write_folder(tmp_path / "out", sharded, [*ROWS, *numbered(50)])
    shard = the_shard(tmp_path / "out")
    content = shard.read_bytes()
    shard.write_bytes(content[: int(len(content) * kept)])
    message = refusal(shard)
    assert message.startswith(str(shard))
    assert message.endswith("; copy it again")


@pytest.mark.parametrize("seed", range(8))
def test_a_shard_with_changed_bytes_is_read_or_refused_in_one_sentence(
    tmp_path: Path, sharded: Shape, seed: int
) -> None:
    write_folder(tmp_path / "out", sharded, [*ROWS, *numbered(5)])
    shard = the_shard(tmp_path / "out")
    whole, chance = shard.read_bytes(), random.Random(seed)
    for number in range(12):
        changed = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 5])):
            changed[chance.randrange(len(changed))] = chance.choice([0, 255, chance.randrange(256)])
        path = tmp_path / f"{number}{shard.suffix}"
        path.write_bytes(changed)
        said = fault(path)
        assert said is None or (said.startswith(str(path)) and "\n" not in said)


def test_a_changed_byte_of_an_image_in_parquet_is_found(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "parquet")
    shard = the_shard(tmp_path / "out")
    content = bytearray(shard.read_bytes())
    content[content.index(b"IHDR") + 40] ^= 1
    shard.write_bytes(content)
    assert "is damaged in row group 0 (" in refusal(shard)


def test_an_arrow_stream_that_ends_between_two_batches_is_cut_short(tmp_path: Path) -> None:
    rows = pa.RecordBatch.from_pylist([ROW], schema=SCHEMA)
    whole = io.BytesIO()
    with pa.ipc.new_stream(whole, SCHEMA) as stream:
        stream.write_batch(rows)
        between = whole.tell()
        stream.write_batch(rows)
    (tmp_path / "x.arrow").write_bytes(whole.getvalue())
    assert len(phidata.load(tmp_path / "x.arrow")) == 2
    (tmp_path / "x.arrow").write_bytes(whole.getvalue()[:between])
    assert refusal(tmp_path / "x.arrow") == (
        f"{tmp_path}/x.arrow is cut short: it does not end as an Arrow stream does; copy it again"
    )


def test_a_missing_shard_is_named(tmp_path: Path, sharded: Shape) -> None:
    files = write_folder(tmp_path / "out", sharded, numbered(10), shard_bytes=4 * ROW_BYTES).splits["train"].files
    lost = tmp_path / "out" / files[1].name
    lost.unlink()
    assert refusal(tmp_path / "out") == (
        f"{tmp_path}/out lacks {files[1].name}, which its manifest names; copy it there"
    )
    (tmp_path / "out" / "manifest.json").unlink()
    assert refusal(tmp_path / "out") == (
        f"{lost.parent} lacks the shard {lost.name}; copy it there, or make the folder again"
    )


def test_a_shard_with_fewer_rows_than_the_manifest_says_is_refused(tmp_path: Path, sharded: Shape) -> None:
    write_folder(tmp_path / "out", sharded, numbered(5))
    write_folder(tmp_path / "other", sharded, numbered(4))
    shard = the_shard(tmp_path / "out")
    the_shard(tmp_path / "other").replace(shard)
    assert refusal(tmp_path / "out") == (
        f"{shard} has 4 rows and its manifest says 5; copy it again, or make the folder again"
    )


def test_shards_of_two_divisions_are_refused(tmp_path: Path) -> None:
    for shard_bytes in (ROW_BYTES, 100 * ROW_BYTES):
        writer = split_writer("parquet", tmp_path / str(shard_bytes), name="x", split="train", shard_bytes=shard_bytes)
        for row in numbered(2):
            writer.add(row, [RED])
        writer.finish()
    (tmp_path / str(ROW_BYTES) / "data").rename(tmp_path / "data")
    the_shard(tmp_path / str(100 * ROW_BYTES)).rename(tmp_path / "data" / "train-00000-of-00001.parquet")
    assert refusal(tmp_path) == (
        f"{tmp_path}/data has shards of split 'train' out of 1 and of 2; remove those that are old"
    )


def test_shards_of_two_shapes_in_one_folder_are_refused(tmp_path: Path) -> None:
    for shape in ("parquet", "webdataset"):
        write_folder(tmp_path / shape, shape)  # type: ignore[arg-type]  # a literal in a loop
    for shape in ("parquet", "webdataset"):
        the_shard(tmp_path / shape).rename(tmp_path / the_shard(tmp_path / shape).name)
    assert refusal(tmp_path) == f"{tmp_path} holds shards of parquet and webdataset; keep one data set a folder"


def test_a_file_that_is_not_called_as_a_shard_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "mine.parquet", ROW)
    assert len(phidata.load(tmp_path / "mine.parquet")) == 1
    assert refusal(tmp_path) == (
        f"{tmp_path}/mine.parquet is not called as a shard is, such as train-00000-of-00001.parquet; "
        "rename it, or give the file instead of its folder"
    )


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"image": ["x"], "label": [1]}, "it has the columns image, label and not id, source, conversations"),
        ({"id": ["x"], "source": ["s"], "conversations": ["[]"]}, "conversations is string, not a list"),
        ({"id": [1], "source": ["s"], "conversations": [[]]}, "id is int64, not string"),
        (
            {"id": ["x"], "source": ["s"], "conversations": [[{"from": "human", "value": "v"}]]},
            "conversations lacks images, user, assistant",
        ),
        (
            {"id": ["x"], "source": ["s"], "conversations": [[{"images": ["a"], "user": "u", "assistant": "v"}]]},
            "conversations.images holds string, not a struct",
        ),
        (
            {**{key: [value] for key, value in ROW.items() if key != "metadata"}, "label": [1]},
            "it has also the columns label",
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_somebody_elses_columns_are_named(tmp_path: Path, suffix: str, columns: dict[str, Any], fault: str) -> None:
    table = pa.table(columns)
    path = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "w") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    assert refusal(path) == (
        f"{path} does not hold conversations: {fault}; `phidata convert --from table --source …` converts others"
    )


def test_large_types_and_columns_left_out_are_read(tmp_path: Path) -> None:
    turn = pa.struct(
        {
            "user": pa.large_string(),
            "assistant": pa.string(),
            "images": pa.large_list(pa.struct({"path": pa.string(), "bytes": pa.large_binary()})),
        }
    )
    schema = pa.schema({"conversations": pa.large_list(turn), "source": pa.string(), "id": pa.large_string()})
    row = {"id": "a", "source": "s", "conversations": [{**ROW["conversations"][0]}]}
    data = phidata.load(write_parquet(tmp_path / "x.parquet", row, schema=schema))
    turns = (Turn(images=("a.png",), user="u", assistant="v"),)
    assert list(data) == [Conversation(id="a", source="s", conversations=turns)]
    assert data.image_bytes(0) == [RED]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": None}, "the row has no id or no source"),
        ({"conversations": None}, "a row has no conversations, or a turn has no images, not even an empty list"),
        (
            {"conversations": [{"images": [], "user": None, "assistant": "a"}]},
            "a turn has no user, no assistant, or an image without a path",
        ),
        ({"metadata": "[1]"}, "its metadata is not the text of a JSON object (Expected `object`, got `array`)"),
        ({"metadata": "{"}, "its metadata is not the text of a JSON object (Input data was truncated)"),
    ],
)
def test_a_row_that_is_no_conversation_is_named_and_those_before_it_are_read(
    tmp_path: Path, change: dict[str, Any], fault: str
) -> None:
    path = write_parquet(tmp_path / "x.parquet", ROW, {**ROW, **change}, ROW)
    data = phidata.load(path)
    assert (data[0].id, data[2].id) == ("a", "a")
    message = f"{path}: row 2: this row is not a conversation ({fault}); make the folder again"
    with pytest.raises(DataError, match=re.escape(message)):
        data[1]
    rows = iter(data)
    assert next(rows).id == "a"
    with pytest.raises(DataError, match=re.escape(message)):
        next(rows)


def test_a_row_that_is_too_deep_is_told_with_its_place(tmp_path: Path) -> None:
    deep = '{"a": ' + "[" * 3000
    text = f'{{"id": "a", "source": "s", "conversations": [], "metadata": {deep}'
    (tmp_path / "x.jsonl").write_text(text)
    write_tar(tmp_path / "x.tar", **{"a.json": text.encode()})
    write_parquet(tmp_path / "x.parquet", {**ROW, "metadata": deep})
    for name, place in {"x.jsonl": "x.jsonl:1", "x.tar": "x.tar: row 1", "x.parquet": "x.parquet: row 1"}.items():
        with pytest.raises(DataError) as refusal_:
            phidata.load(tmp_path / name)[0]
        assert str(refusal_.value).startswith(f"{tmp_path}/{place}: ")


def test_an_image_without_bytes_is_named(tmp_path: Path) -> None:
    turn = {**ROW["conversations"][0], "images": [{"bytes": RED, "path": "a.png"}, {"bytes": None, "path": "b.png"}]}
    path = write_parquet(tmp_path / "x.parquet", ROW, {**ROW, "id": "b", "conversations": [turn]})
    assert refusal(path) == (f"{path}: row 2: row 'b': image 'b.png' has no bytes in the shard; make the folder again")


def line(images: list[str]) -> bytes:
    turn = Turn(images=tuple(images), user="u", assistant="a")
    return msgspec.json.encode(Conversation(id="a", source="s", conversations=(turn,)))


def test_an_image_that_is_not_in_the_tar_is_named(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "x.tar", **{"a.json": line(["a.png", "b.png", "c.png"]), "a.0.png": RED, "a.2.png": RED}
    )
    data = phidata.load(path)
    assert data.missing_images(0) == ["b.png"]
    assert refusal(path) == f"{path}: row 1: row 'a': image 'b.png' is not in the tar; make the folder again"


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        (
            {"a.jpg": RED, "a.txt": b"a caption"},
            " does not hold conversations: its member 'a.jpg' is neither <key>.json nor <key>.<number>.<suffix>",
        ),
        ({"a.0.jpg": RED}, " lacks the member 'a.json', the row of these images; make the folder again"),
        ({"a.json": b"{}"}, ": row 1: its json is not a conversation (Object missing required field `id`)"),
        (
            {"a.json": line([]), "./a.json": line([])},
            " has the member './a.json' twice; make the folder again",
        ),
    ],
)
def test_somebody_elses_tar_is_refused(tmp_path: Path, members: dict[str, bytes], fault: str) -> None:
    path = write_tar(tmp_path / "x.tar", **members)
    assert refusal(path).startswith(f"{path}{fault}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.tar", "is no tar file; copy it again"),
        ("x.parquet", "is not a whole Parquet file"),
        ("x.arrow", "is cut short: it does not end as an Arrow stream does"),
    ],
)
def test_text_under_the_name_of_a_shard_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_text("not a shard\n" * 200)
    assert refusal(tmp_path / name).startswith(f"{tmp_path}/{name} {said}")


def test_a_damaged_tar_header_is_named_by_its_byte(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "webdataset", numbered(3))
    shard = the_shard(tmp_path / "out")
    content = bytearray(shard.read_bytes())
    content[1024] ^= 1
    shard.write_bytes(content)
    assert refusal(shard) == f"{shard} is damaged: what is at byte 1024 is no header of a member; copy it again"


def test_a_manifest_that_is_none_is_refused(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape)
    (tmp_path / "out" / "manifest.json").write_text('{"shape": "zip"}')
    assert refusal(tmp_path / "out").startswith(f"{tmp_path}/out/manifest.json is not the manifest of a conversion (")


@pytest.mark.parametrize(
    "name", ["/etc/train-00000-of-00001.x", "../train-00000-of-00001.x", "data/../../x", "a\\b", ""]
)
def test_a_manifest_that_names_a_file_outside_of_its_folder_is_refused(tmp_path: Path, shape: Shape, name: str) -> None:
    manifest = write_folder(tmp_path / "out", shape)
    path = tmp_path / "out" / "manifest.json"
    path.write_bytes(manifest.to_json().replace(*(json.dumps(x).encode() for x in (file_name(manifest), name))))
    assert refusal(tmp_path / "out") == (
        f"{path} is not the manifest of a conversion (the file name {name!r} leads out of the folder - at "
        "`$.splits[...].files[0]`); convert again, or remove it"
    )
    with pytest.raises(UsageError, match="leads out of the folder"):
        phidata.verify(tmp_path / "out")


@pytest.mark.parametrize("split", ["../evil", "/evil", "a b", ""])
def test_a_manifest_with_an_impossible_name_of_a_split_is_refused(tmp_path: Path, shape: Shape, split: str) -> None:
    manifest = write_folder(tmp_path / "out", shape)
    path = tmp_path / "out" / "manifest.json"
    path.write_bytes(msgspec.structs.replace(manifest, splits={split: manifest.splits["train"]}).to_json())
    with pytest.raises(DataError) as caught:
        phidata.export(tmp_path / "out", to="swift", out=tmp_path / "new")
    assert str(caught.value) == (
        f"{path} is not the manifest of a conversion ({split!r} can not be the name of a split; "
        "use letters, digits and underscores); convert again, or remove it"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_manifest_without_an_end_to_its_depth_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "parquet")
    (tmp_path / "out" / "manifest.json").write_text('{"options": ' + "[" * 100_000)
    assert "is not the manifest of a conversion" in refusal(tmp_path / "out")
    with pytest.raises(UsageError, match="is not the manifest of a conversion"):
        phidata.verify(tmp_path / "out")


def test_an_unfinished_conversion_is_refused(tmp_path: Path, shape: Shape) -> None:
    write_folder(tmp_path / "out", shape)
    (tmp_path / "out" / "manifest.json").unlink()
    (tmp_path / "out" / ".journal").mkdir()
    assert "is an unfinished conversion; run the same `phidata convert` command again" in refusal(tmp_path / "out")


def test_the_error_of_an_image_that_can_not_be_decoded_names_shard_row_and_image(
    tmp_path: Path, sharded: Shape
) -> None:
    writer = split_writer(sharded, tmp_path, name="x", split="train")
    turn = Turn(images=("train/a.png",), user="u", assistant="a")
    writer.add(Conversation(id="r", source="s", conversations=(turn,)), [b"no picture"])
    writer.finish()
    with pytest.raises(DataError, match=r"train-00000-of-00001\.\w+: row 1: row 'r': image 'train/a\.png': "):
        phidata.load(tmp_path).images(0)
