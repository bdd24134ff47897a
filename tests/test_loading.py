"""`phidata.load`: rows on demand, lazily opened images, shards, the ecosystem's own readers."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import phidata
from phidata import Conversation, DataError, Turn, UsageError

ROW = {"id": "a", "source": "s", "conversations": [{"images": ["x/1.png"], "user": "What?", "assistant": "Red."}]}


def write_folder(root: Path, splits: dict[str, list[dict[str, object]]]) -> Path:
    (root / "images" / "x").mkdir(parents=True)
    Image.new("RGB", (4, 3), (200, 10, 10)).save(root / "images" / "x" / "1.png")
    for split, rows in splits.items():
        (root / f"set_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def numbered(count: int) -> list[dict[str, object]]:
    return [{**ROW, "id": f"row-{number}"} for number in range(count)]


def test_a_row_is_a_typed_conversation(tmp_path: Path) -> None:
    data = phidata.load(write_folder(tmp_path, {"train": [ROW]}), split="train")
    turn = Turn(images=("x/1.png",), user="What?", assistant="Red.")
    assert list(data) == [Conversation(id="a", source="s", conversations=(turn,))]
    assert data[-1].images == ("x/1.png",)
    with pytest.raises(IndexError):
        data[1]


def test_images_open_as_rgb_when_asked(tmp_path: Path) -> None:
    data = phidata.load(write_folder(tmp_path, {"train": [ROW]}))
    [image] = data.images(0)
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGB", (4, 3), (200, 10, 10))


def test_the_images_of_the_first_turns_can_be_had_alone(tmp_path: Path) -> None:
    turn = {"images": ["x/1.png"], "user": "u", "assistant": "a"}
    data = phidata.load(write_folder(tmp_path, {"train": [{**ROW, "conversations": [turn, turn]}]}))
    assert [len(data.images(0, num_turns=count)) for count in (1, 2)] == [1, 2]
    assert data.where(0) == f"{tmp_path}/set_train.jsonl:1: row 'a'"


def test_a_missing_image_is_an_error_that_names_row_and_path(tmp_path: Path) -> None:
    data = phidata.load(write_folder(tmp_path, {"train": [ROW]}))
    (tmp_path / "images" / "x" / "1.png").unlink()
    with pytest.raises(DataError, match=r"set_train\.jsonl:1: row 'a': .*x/1\.png"):
        data.images(0)


@pytest.mark.parametrize("path", ["../secret.png", "/etc/passwd", "x\\1.png"])
def test_an_image_path_never_leaves_the_image_folder(tmp_path: Path, path: str) -> None:
    row = {**ROW, "conversations": [{"images": [path], "user": "u", "assistant": "a"}]}
    data = phidata.load(write_folder(tmp_path, {"train": [row]}))
    with pytest.raises(DataError, match="leads out of"):
        data.images(0)


@pytest.mark.parametrize(
    "line", ['{"id": "a"', "", '{"id": 1, "source": "s", "conversations": []}', '{"id": "\udcff"}']
)
def test_a_bad_line_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes((json.dumps(ROW) + "\n" + line + "\n").encode(errors="surrogateescape"))
    data = phidata.load(file)
    assert data[0].id == "a"
    with pytest.raises(DataError, match=r"rows\.jsonl:2: this line is not a conversation"):
        data[1]


@pytest.mark.parametrize("ending", ["", "\n"])
def test_the_last_line_counts_with_or_without_its_newline(tmp_path: Path, ending: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in numbered(3)) + ending)
    assert [row.id for row in phidata.load(file)] == ["row-0", "row-1", "row-2"]


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    assert len(phidata.load(tmp_path / "rows.jsonl")) == 0


def test_lines_longer_than_a_chunk_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phidata.storage.jsonl.CHUNK_BYTES", 7)
    monkeypatch.setattr("phidata.storage.jsonl.KEPT_FROM", 0)
    file = write_folder(tmp_path, {"train": numbered(20)}) / "set_train.jsonl"
    ids = [f"row-{number}" for number in range(20)]
    assert [row.id for row in phidata.load(file)] == ids
    file.write_bytes(file.read_bytes()[:-1])
    assert [row.id for row in phidata.load(file)] == ids
    file.write_bytes(b"")
    assert len(phidata.load(file)) == 0


def test_rows_in_order_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path, {"train": numbered(40)})
    for num_bytes in (1, 100, 1000, 1 << 20):
        monkeypatch.setattr("phidata.storage.jsonl.READ_BYTES", num_bytes)
        data = phidata.load(folder)
        for part in (slice(None), slice(3, 17), slice(39, None), slice(5, 5)):
            assert [row.id for row in data[part]] == [f"row-{number}" for number in range(40)[part]]


def test_rows_in_order_end_at_one_that_is_none(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in numbered(5)]
    for bad in ("", lines[2] + lines[2], lines[2][:40] + "\n" + lines[2][40:], "null"):
        (tmp_path / "rows.jsonl").write_text("\n".join([*lines[:2], bad, *lines[3:]]) + "\n")
        rows = iter(phidata.load(tmp_path / "rows.jsonl"))
        assert [next(rows).id, next(rows).id] == ["row-0", "row-1"]
        with pytest.raises(DataError, match=r"rows\.jsonl:3: this line is not a conversation"):
            next(rows)


def test_shards_of_all_ranks_are_the_whole_split(tmp_path: Path) -> None:
    data = phidata.load(write_folder(tmp_path, {"train": numbered(7)}))
    shards = [[row.id for row in data.shard(rank, 3)] for rank in range(3)]
    assert shards == [["row-0", "row-3", "row-6"], ["row-1", "row-4"], ["row-2", "row-5"]]
    assert [row.id for row in data[2:6].shard(1, 2)] == ["row-3", "row-5"]
    with pytest.raises(UsageError, match="rank 3 is not one of the 3 ranks"):
        data.shard(3, 3)


def test_opened_data_can_be_sent_to_another_process(tmp_path: Path) -> None:
    data = phidata.load(write_folder(tmp_path, {"train": numbered(3)}))
    assert data[0].id == "row-0"
    assert [row.id for row in pickle.loads(pickle.dumps(data))[1:]] == ["row-1", "row-2"]


def test_a_missing_split_names_those_there_are(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"train": [ROW], "val": [ROW]})
    with pytest.raises(UsageError, match=r"no split 'valid' in .*; it has 'train', 'val'"):
        phidata.load(folder, split="valid")
    with pytest.raises(UsageError, match="name one of them"):
        phidata.load(folder)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data folder"):
        phidata.load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"holds no <name>_<split>\.jsonl"):
        phidata.load(tmp_path)


def test_an_unfinished_conversion_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"train": [ROW]})
    (folder / ".journal").mkdir()
    with pytest.raises(DataError, match="unfinished conversion"):
        phidata.load(folder)


def test_to_hf_gives_decoded_images_or_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    data = phidata.load(write_folder(tmp_path / "set", {"train": [ROW, {**ROW, "id": "b", "metadata": {"k": [1]}}]}))
    decoded = data.to_hf()
    assert decoded.column_names == ["id", "source", "conversations", "metadata"]
    assert decoded[0]["conversations"][0]["images"][0].convert("RGB").getpixel((0, 0)) == (200, 10, 10)
    assert (decoded[0]["metadata"], decoded[1]["metadata"]) == (None, '{"k":[1]}')
    assert data.to_hf(decode_images=False)[0]["conversations"] == ROW["conversations"]


def test_to_hf_sees_a_changed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROW) + "\n")
    assert phidata.load(file).to_hf(decode_images=False)["id"][:] == ["a"]
    file.write_text(json.dumps({**ROW, "id": "b"}) + "\n")
    assert phidata.load(file).to_hf(decode_images=False)["id"][:] == ["b"]


def test_the_ecosystems_json_reader_opens_the_folder(tmp_path: Path) -> None:
    import datasets

    folder = write_folder(tmp_path, {"train": [ROW]})
    rows = datasets.load_dataset(
        "json", data_files=str(folder / "set_train.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert rows[0] == ROW


def test_importing_phidata_imports_nothing_heavy() -> None:
    program = "import sys, phidata; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    heavy = {"torch", "datasets", "pyarrow", "av", "decord", "numpy", "PIL", "jsonschema", "transformers"}
    assert not heavy & set(eval(loaded))


def test_a_split_without_rows_is_an_empty_dataset_with_the_same_columns(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"train": [ROW], "test": []})
    empty = phidata.load(folder, "test").to_hf()
    assert len(empty) == 0
    assert empty.features == phidata.load(folder, "train").to_hf().features


def test_rows_are_there_after_the_working_directory_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "data", {"train": [ROW]})
    monkeypatch.chdir(tmp_path)
    data = phidata.load("data", images="data/images")
    single = phidata.load("data/set_train.jsonl")
    monkeypatch.chdir("/")
    assert [len(data.image_bytes(0)), len(single.image_bytes(0))] == [1, 1]
    assert pickle.loads(pickle.dumps(data))[0].id == "a"
    with pytest.raises(UsageError, match=r"^no data folder gone; "):
        phidata.load("gone")
