"""phidata.split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import phidata
from phidata.curation.grouping import Groups
from phidata.curation.shares import assign, parse_shares
from phidata.errors import DataError, UsageError

from .conftest import Folder, files, ids, ledger, row

PIECES = {f"{n}.jpg": b"image %d" % n for n in range(100)}


def sides(folder: Path) -> dict[str, str]:
    """The split of each row."""
    return {
        row.id: path.stem.rpartition("_")[2]
        for path in folder.glob("*.jsonl")
        if path.name != "ledger.jsonl"
        for row in phidata.load(path)
    }


def test_rows_of_one_image_stay_together_whatever_it_is_called(folder: Folder, tmp_path: Path) -> None:
    rows = [row(f"r{n}", f"{n // 2}.jpg") for n in range(40)] + [row(f"copy{n}", f"c{n}.jpg") for n in range(20)]
    copies = {f"c{n}.jpg": PIECES[f"{n}.jpg"] for n in range(20)}
    divided = phidata.split(
        folder("in", {"train": rows}, PIECES | copies), out=tmp_path / "out", splits={"a": 1, "b": 1}
    )
    assert (divided.groups, divided.largest_group) == (20, 3)
    side = sides(tmp_path / "out")
    assert set(side.values()) == {"a", "b"}
    assert all(side[f"r{2 * n}"] == side[f"r{2 * n + 1}"] == side[f"copy{n}"] for n in range(20))


def test_rows_hang_together_through_other_rows() -> None:
    groups = Groups()
    for keys in (["a"], ["b"], ["c", "d"], ["e"], ["b", "c"], ["d", "a"]):
        groups.add(keys)
    assert groups.finish() == ([0, 0, 0, 1, 0, 0], ["a", "e"])


def test_a_group_keeps_its_side_when_rows_are_added(folder: Folder, tmp_path: Path) -> None:
    rows = [row(f"r{n}", f"{n}.jpg") for n in range(60)]
    few = folder("few", {"train": rows[20:50]}, PIECES)
    many = folder("many", {"train": rows[::-1]}, PIECES)
    for source in (few, many):
        phidata.split(source, out=tmp_path / f"{source.name}-out", splits={"train": 2, "test": 1})
    before, after = sides(tmp_path / "few-out"), sides(tmp_path / "many-out")
    assert before == {id: after[id] for id in before}


def test_another_seed_divides_otherwise(folder: Folder, tmp_path: Path) -> None:
    source = folder("in", {"train": [row(f"r{n}", f"{n}.jpg") for n in range(60)]}, PIECES)
    for seed in (0, 1):
        phidata.split(source, out=tmp_path / f"out{seed}", splits={"train": 1, "test": 1}, seed=seed)
    assert sides(tmp_path / "out0") != sides(tmp_path / "out1")


def test_weights_are_met_by_many_groups() -> None:
    keys = [f"group {n}" for n in range(10_000)]
    chosen = assign(parse_shares({"train": 8, "val": "1", "test": 1.0}), keys, [1] * len(keys), seed=0)
    assert Counter(chosen) == {"train": 7985, "val": 1014, "test": 1001}


def test_a_number_of_rows_is_met_exactly_where_groups_allow(folder: Folder, tmp_path: Path) -> None:
    rows = [row(f"r{n}", f"{n // 3}.jpg") for n in range(60)]
    source = folder("in", {"train": rows}, PIECES)
    divided = phidata.split(source, out=tmp_path / "out", splits={"test": "12rows", "val": "10 rows", "train": 1})
    assert {name: (part.wished, part.rows, part.groups) for name, part in divided.splits.items()} == {
        "test": (12.0, 12, 4),
        "val": (10.0, 9, 3),
        "train": (38.0, 39, 13),
    }


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("image", 6),
        ("id", 6),
        ("source", 2),
        (r"id:^\w+-(\d)", 3),
        (r"id:\d", 3),
        (r"path:_(g\d+)_c", 2),
        (r"path:v_([A-Z])_(g\d+)", 4),
        ("metadata.video", 5),
        ("metadata.of.day", 2),
        (("source", "metadata.of.day"), 1),
    ],
)
def test_rows_are_grouped_by(folder: Folder, tmp_path: Path, by: str, groups: int) -> None:
    rows = [
        row("x-1", "v_A_g01_c01.0.jpg", source="s", metadata={"video": 1, "of": {"day": 1}}),
        row("x-2", "v_A_g01_c02.0.jpg", source="s", metadata={"video": "1", "of": {"day": 1}}),
        row("x-3", "v_A_g02_c01.0.jpg", source="s", metadata={"video": "3", "of": {"day": 2}}),
        row("y-1", "v_B_g01_c01.0.jpg", source="t", metadata={"video": "4", "of": {"day": 2}}),
        row("y-2", "v_B_g01_c02.0.jpg", source="t", metadata={"video": "4", "of": {"day": 1}}),
        row("y-3", "v_B_g02_c01.0.jpg", source="t", metadata={"video": "6", "of": {"day": 1}}),
    ]
    images = {path: path.encode() for row in rows for path in row.images}
    source = folder("in", {"train": rows}, images)
    assert phidata.split(source, out=tmp_path / "out", splits={"a": 1}, by=by, dry_run=True).groups == groups


def test_rows_without_images_stand_alone_by_image(folder: Folder, tmp_path: Path) -> None:
    source = folder("in", {"train": [row("a"), row("b"), row("c")]}, {})
    assert phidata.split(source, out=tmp_path / "out", splits={"a": 1}).groups == 3


def test_only_the_named_split_is_divided(folder: Folder, tmp_path: Path) -> None:
    splits = {"train": [row(f"r{n}", f"{n}.jpg") for n in range(20)], "test": [row("t1", "0.jpg"), row("t2", "50.jpg")]}
    source = folder("in", splits, PIECES)
    divided = phidata.split(source, out=tmp_path / "out", splits={"train": 3, "val": 1}, of=["train"])
    assert (divided.rows, divided.groups, divided.shared_rows) == (20, 20, 1)
    assert (divided.splits["test"].wished, divided.splits["test"].rows) == (None, 2)
    assert ids(tmp_path / "out", "test") == ["t1", "t2"]
    assert sorted([*ids(tmp_path / "out", "train"), *ids(tmp_path / "out", "val")]) == sorted(
        f"r{n}" for n in range(20)
    )


def test_rows_keep_their_order_and_their_content(folder: Folder, tmp_path: Path) -> None:
    rows = [row(f"r{n}", f"{n}.jpg", metadata={"n": n}) for n in range(30)]
    source = folder("in", {"train": rows[10:], "val": rows[:10]}, PIECES)
    phidata.split(source, out=tmp_path / "out", splits={"a": 1, "b": 1}, to="parquet")
    written = [row for split in ("a", "b") for row in phidata.load(tmp_path / "out", split)]
    assert sorted(written, key=lambda row: row.id) == sorted(rows, key=lambda row: row.id)
    place = {row.id: n for n, row in enumerate([*rows[10:], *rows[:10]])}
    for split in ("a", "b"):
        assert (order := [place[id] for id in ids(tmp_path / "out", split)]) == sorted(order)


def test_the_manifest_says_how_and_the_folder_verifies(folder: Folder, tmp_path: Path) -> None:
    source = folder("in", {"train": [row(f"r{n}", f"{n}.jpg") for n in range(9)]}, PIECES)
    for out in ("one", "other"):
        phidata.split(source, out=tmp_path / out, splits={"a": 1, "b": "4rows"}, seed=3)
    assert files(tmp_path / "one") == files(tmp_path / "other")
    assert phidata.verify(tmp_path / "one").ok
    assert ledger(tmp_path / "one") == [
        {"split": "a", "outcome": "written", "count": 5},
        {"split": "b", "outcome": "written", "count": 4},
    ]


def test_the_manifest_is_the_same_however_sizes_are_written(folder: Folder, tmp_path: Path) -> None:
    source = folder("in", {"train": [row("a"), row("b"), row("c")]}, {})
    for out, weight, rows in (("one", "1", "1rows"), ("other", 1, "1 row")):
        phidata.split(source, out=tmp_path / out, splits={"a": weight, "b": rows})
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_a_dry_run_tells_the_same_and_writes_nothing(folder: Folder, tmp_path: Path) -> None:
    source = folder("in", {"train": [row(f"r{n}", f"{n}.jpg") for n in range(9)]}, PIECES)
    dry = phidata.split(source, out=tmp_path / "out", splits={"a": 1, "b": 1}, dry_run=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert phidata.split(source, out=tmp_path / "out", splits={"a": 1, "b": 1}).splits == dry.splits


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"splits": {}}, "no splits to divide into; name them"),
        ({"splits": {"a": "much"}}, "the size of split 'a' is 'much'; write a weight above 0 such as 8 or 0.1"),
        ({"splits": {"a": 0}}, "the size of split 'a' is '0'; write a weight above 0"),
        ({"splits": {"a": "-1"}}, "the size of split 'a' is '-1'; write a weight above 0"),
        ({"splits": {"a": "nan"}}, "the size of split 'a' is 'nan'; write a weight above 0"),
        ({"splits": {"a": "0rows"}}, "the size of split 'a' is '0rows'; write a weight above 0"),
        ({"splits": {"a b": 1}}, "'a b' can not be the name of a split"),
        ({"by": "video"}, "no grouping 'video'; group by image, source, id, id:REGEX, path:REGEX or metadata.KEY"),
        ({"by": "metadata."}, "no grouping 'metadata.'"),
        ({"by": "path:("}, "( is not a regular expression"),
        ({"of": ["dev"]}, "no split 'dev' in"),
        ({"of": ["train"], "splits": {"test": 1}}, "has a split 'test' that is not divided"),
    ],
)
def test_what_can_not_be_asked_is_said(folder: Folder, tmp_path: Path, asked: dict[str, object], sentence: str) -> None:
    source = folder("in", {"train": [row("a", "1.jpg")], "test": [row("b", "2.jpg")]}, PIECES)
    with pytest.raises(UsageError) as caught:
        phidata.split(source, out=tmp_path / "out", **{"splits": {"a": 1}, **asked})  # type: ignore[arg-type] # on purpose
    assert sentence in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"by": "metadata.video"}, "/in/birds_train.jsonl:1: row 'a': it has no metadata.video; group by something"),
        ({"by": "id:z"}, "/in/birds_train.jsonl:1: row 'a': the id does not match z; give --by an expression"),
        ({"by": r"path:g\d"}, r"row 'a': the image path '1.jpg' does not match g\d; give --by an expression"),
        ({"splits": {"a": "3rows"}}, "3 rows are asked for and there are 2; ask for fewer"),
        ({"splits": {"a": "1rows"}}, "1 of 2 rows are asked for, and groups are left over; name a split for them"),
        ({"splits": {"a": 1, "b": 1e-9}}, "split 'b' would be empty: "),
    ],
)
def test_what_the_rows_do_not_allow_is_said(
    folder: Folder, tmp_path: Path, asked: dict[str, object], sentence: str
) -> None:
    source = folder("in", {"train": [row("a", "1.jpg"), row("b", "2.jpg")]}, PIECES)
    with pytest.raises(DataError) as caught:
        phidata.split(source, out=tmp_path / "out", **{"splits": {"a": 1}, **asked})  # type: ignore[arg-type] # on purpose
    assert sentence in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_missing_image_is_named_and_nothing_is_left_behind(folder: Folder, tmp_path: Path) -> None:
    source = folder("in", {"train": [row("a", "none.jpg")]}, {})
    for by in ("image", "id"):
        with pytest.raises(DataError, match=r"birds_train\.jsonl:1: row 'a': .*none\.jpg: no such image"):
            phidata.split(source, out=tmp_path / "out", splits={"a": 1}, by=by)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
