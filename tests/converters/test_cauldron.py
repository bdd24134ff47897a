"""Subsets of the cauldron, and the sets that are made of one: hateful_memes, nlvr2."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import phidata
from phidata import UsageError
from phidata.conversion.selection import Selection

from .sources import CAULDRON, LEFT, RIGHT, cauldron_row, converted, picture, turns, write, write_parquet

PAIR = cauldron_row("NLVR2", ("Is it?", "Yes."), ("Is it not?", "No."), images=[LEFT, RIGHT])


def test_the_images_are_on_the_first_turn_and_every_text_is_a_turn(tmp_path: Path) -> None:
    write_parquet(tmp_path / "nlvr2" / "train-00000-of-00001.parquet", [PAIR], CAULDRON)
    assert converted("cauldron", tmp_path) == [
        {
            "id": "train-0000000000",
            "source": "NLVR2",
            "conversations": [
                {
                    "images": ["train/0000000.0.png", "train/0000000.1.png"],
                    "user": "Is it?",
                    "assistant": "Yes.",
                },
                {"images": [], "user": "Is it not?", "assistant": "No."},
            ],
        }
    ]


def test_turns_can_be_rows_which_share_the_images(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-00000-of-00001.parquet", [PAIR], CAULDRON)
    images = ["train/0000000.0.png", "train/0000000.1.png"]
    assert turns("cauldron", tmp_path, turns="split") == [
        [{"images": images, "user": "Is it?", "assistant": "Yes."}],
        [{"images": images, "user": "Is it not?", "assistant": "No."}],
    ]


def test_texts_stand_word_for_word(tmp_path: Path) -> None:
    said = ("<image>\n  A<|end|>B\n\u00e9\u0301 {x}", " 17. ")
    write_parquet(tmp_path / "train.parquet", [cauldron_row("X", said)], CAULDRON)
    assert turns("cauldron", tmp_path)[0][0] == {
        "images": ["train/0000000.0.jpg"],
        "user": said[0],
        "assistant": said[1],
    }


def test_rows_count_through_the_shards_of_a_split(tmp_path: Path) -> None:
    for shard in range(3):
        rows = [cauldron_row("X", (f"{shard}{row}?", "Yes.")) for row in range(2)]
        write_parquet(tmp_path / "a" / f"train-{shard:05}-of-00003.parquet", rows, CAULDRON, row_group_size=1)
    rows = converted("cauldron", tmp_path)
    assert [(row["id"], row["conversations"][0]["user"], row["conversations"][0]["images"]) for row in rows] == [
        (f"train-000000000{k}", f"{k // 2}{k % 2}?", [f"train/000000{k}.0.jpg"]) for k in range(6)
    ]


def test_a_subset_is_chosen_among_folders(tmp_path: Path) -> None:
    for subset in ("ai2d", "nlvr2"):
        write_parquet(tmp_path / subset / "train.parquet", [cauldron_row(subset, ("?", "Yes."))], CAULDRON)
    assert [row["source"] for row in converted("cauldron", tmp_path, subset="nlvr2")] == ["nlvr2"]
    with pytest.raises(UsageError) as refusal:
        converted("cauldron", tmp_path, subset="nlvr")
    assert str(refusal.value) == f"{tmp_path} has no folder 'nlvr'; it has 'ai2d', 'nlvr2'"


def test_a_row_without_texts_or_image_bytes_fails(tmp_path: Path) -> None:
    rows = [
        cauldron_row("X"),
        {**cauldron_row("X", ("?", "Yes.")), "images": [picture(None)]},
        {**cauldron_row("X", ("?", "Yes.")), "images": [picture(b"no picture")]},
        {"images": [None], "texts": [{"user": "?", "assistant": None, "source": "X"}]},
    ]
    write_parquet(tmp_path / "train.parquet", rows, CAULDRON)
    assert converted("cauldron", tmp_path) == [
        "failed train.parquet:1: its 'texts' is an empty list, where texts are expected",
        "failed train.parquet:2: its image has no bytes",
        "failed train.parquet:3: this file is not an image: it begins with 'no picture'",
        "failed train.parquet:4: one of its images is null",
    ]


@pytest.mark.parametrize(("name", "source"), [("hateful_memes", "Hateful Memes"), ("nlvr2", "NLVR2")])
def test_five_hundred_rows_are_for_evaluation(tmp_path: Path, name: str, source: str) -> None:
    rows = [cauldron_row(source, (f"{k}?", "Yes."), images=[]) for k in range(503)]
    write_parquet(tmp_path / name / "train-00000-of-00001.parquet", rows, CAULDRON)
    found = converted(name, tmp_path)
    assert [row["id"].partition("-")[0] for row in found] == ["val"] * 500 + ["train"] * 3
    assert {row["source"] for row in found} == {name}
    everything = converted(name, tmp_path, selection=Selection(splits={"all": "train"}, limit=2))
    assert [row["id"] for row in everything] == ["all-0000000000", "all-0000000001"]


def test_what_datasets_has_saved_to_disk_is_read(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    table = pa.Table.from_pylist([cauldron_row("X", ("?", "Yes."))], schema=CAULDRON)
    with pa.ipc.new_stream(tmp_path / "test" / "data-00000-of-00001.arrow", CAULDRON) as file:
        file.write_table(table)
    assert [row["id"] for row in converted("cauldron", tmp_path)] == ["test-0000000000"]


def test_a_subset_is_read_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0" * 40
    repository = tmp_path / "hub" / "datasets--HuggingFaceM4--the_cauldron"
    write(repository / "refs" / "main", commit)
    for subset in ("ai2d", "nlvr2"):
        rows = [cauldron_row(subset, ("?", "Yes."))]
        write_parquet(repository / "snapshots" / commit / subset / "train-00000-of-00001.parquet", rows, CAULDRON)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    manifest = phidata.convert(
        "cauldron", source="HuggingFaceM4/the_cauldron", settings={"subset": "ai2d"}, out=tmp_path / "out", jobs=1
    )
    assert (manifest.rows.written, manifest.source["files"]) == (1, "ai2d/*.parquet")
    assert '"source":"ai2d"' in (tmp_path / "out" / "cauldron_train.jsonl").read_text()
    with pytest.raises(UsageError, match=r"^--subset has to say which files of HuggingFaceM4/the_cauldron are read"):
        phidata.convert("cauldron", out=tmp_path / "other")


def test_small_copies_keep_their_split(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [PAIR], CAULDRON)
    assert [row["id"] for row in converted("nlvr2", tmp_path)] == ["train-0000000000"]


def test_another_subset_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [PAIR], CAULDRON)
    with pytest.raises(UsageError) as refusal:
        converted("hateful_memes", tmp_path)
    assert str(refusal.value) == (
        "train.parquet is from 'NLVR2', where hateful_memes is expected; convert it with --from cauldron"
    )
