"""phidata merge, split and dedup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phidata.cli import main

from .conftest import Folder, photo, row, smaller

IMAGES = {"bus.jpg": photo("bus"), "small.jpg": smaller("bus"), "plate.jpg": photo("plate")}


@pytest.fixture
def birds(folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    train = [row("a", "bus.jpg"), row("b", "plate.jpg"), row("c", "plate.jpg")]
    folder("birds", {"train": train, "test": [row("d", "small.jpg", user="Who?")]}, IMAGES)
    monkeypatch.chdir(tmp_path)
    return Path("birds")


def test_merge_prints_what_came_from_where(birds: Path, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder("cats", {"train": [row("e", "bus.jpg")]}, {"bus.jpg": photo("street")}, name="cats")
    assert main(["merge", str(birds), "cats", "--out", "out", "--name", "pets"]) == 0
    assert capsys.readouterr().out == (
        "           test     train\n"
        "birds         1         3\n"
        "cats          0         1\n"
        "all           1         4\n"
        "images of cats, now below cats/: 1\n"
        "in out (images-jsonl)\n"
    )
    assert Path("out/pets_train.jsonl").exists()


def test_merge_as_json(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge", str(birds), "--out", "out", "--to", "parquet", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "birds",
        "out": "out",
        "shape": "parquet",
        "written": False,
        "splits": {"test": 1, "train": 3},
        "sources": [
            {"folder": "birds", "label": "birds", "splits": {"test": 1, "train": 3}, "renamed_images": 0},
        ],
    }


def test_split_prints_how_close_it_came(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--split", "dev=1rows", "--split", "train=1"]
    assert main(["split", str(birds), "--out", "out", "--of", "train", "--by", "id", *sizes]) == 0
    assert capsys.readouterr().out == (
        "         wished      rows    groups\n"
        "dev           1         1         1\n"
        "train         2         2         2\n"
        "test  as it was         1         1\n"
        "3 rows divided, in 3 groups by id; rows in the largest: 1\n"
        "in out (images-jsonl)\n"
    )


def test_split_as_json(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--split", "all=1", "--seed", "7", "--dry-run", "--format", "json"]
    assert main(["split", str(birds), "--out", "out", *arguments]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "birds",
        "out": "out",
        "shape": "images-jsonl",
        "written": False,
        "by": ["image"],
        "seed": 7,
        "rows": 4,
        "groups": 3,
        "largest_group": 2,
        "shared_rows": 0,
        "splits": {"all": {"wished": 4.0, "rows": 4, "groups": 3}},
    }


def test_dedup_reports(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dedup", str(birds)]) == 1
    assert capsys.readouterr().out == (
        "duplicate rows: 1\n"
        "  train c = train b\n"
        "leakage: 1 of 1 rows of test show an image that train has too (0 the same, 1 alike), in 1 of 3 rows\n"
        "  test d ~ train a (0 bits)\n"
        "images: 4 shown, 3 paths, 3 different ones, 1 pairs of these alike\n"
        "\n"
        "           rows      left\n"
        "test          1         1\n"
        "train         3         1\n"
        "left out: 1 (shows an image like one of split 'test')\n"
        "left out: 1 (the same as another row)\n"
        "nothing written\n"
    )


def test_dedup_leaves_out(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dedup", str(birds), "--out", "out", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["splits"] == {"test": {"rows": 1, "left": 1}, "train": {"rows": 3, "left": 1}}
    assert main(["dedup", "out"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "duplicate rows: 0",
        "leakage: no other split has images of test",
    ]


def test_dedup_says_what_stays_open(folder: Folder, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    splits = {"val": [row("a", "bus.jpg")], "test": [row("b", "bus.jpg")], "train": []}
    source = folder("birds", splits, IMAGES)
    assert main(["dedup", str(source), "--exact", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out.splitlines()[-2] == (
        "test and val lose nothing and share images: --keep-split test takes them from val"
    )


def test_long_lists_are_cut(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dedup", str(folder("birds", {"train": [row(f"r{n}") for n in range(13)]}, {}))]) == 1
    assert capsys.readouterr().out.splitlines()[10:12] == [
        "  train r10 = train r0",
        "  and 2 more; --format json lists all",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["merge", "none", "--out", "out"], 2, "error: no data folder none; make one with"),
        (["merge", "birds", "birds", "--out", "out"], 1, "error: birds/birds_test.jsonl:1: row 'd' and"),
        (["merge", "birds", "--out", "birds"], 2, "error: birds is read and can not be written too"),
        (["merge", "birds", "--out", "out", "--shard-size", "much"], 2, "error: 'much' is not a size"),
        (["split", "birds", "--out", "out", "--split", "train"], 2, "error: --split train has no size; write it as"),
        (["split", "birds", "--out", "out", "--split", "a=1", "--split", "a=2"], 2, "error: --split a is there twice"),
        (["split", "birds", "--out", "out", "--split", "a=x"], 2, "error: the size of split 'a' is 'x'"),
        (["split", "birds", "--out", "birds/in", "--split", "a=1"], 2, "error: of birds/in and birds one lies in the"),
        (["dedup", "birds", "--keep-split", "tset"], 2, "error: no split 'tset' in birds; it has 'test', 'train'"),
        (["dedup", "birds", "--distance", "99"], 2, "error: distance is 99; at most 15 of the 64 bits"),
    ],
)
@pytest.mark.usefixtures("birds")
def test_errors_are_one_sentence(
    arguments: list[str], code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(sentence)
    assert told.err.count("\n") == 1
    assert not Path("out").exists()
