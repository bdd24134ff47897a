"""phidata.merge."""

from __future__ import annotations

from pathlib import Path

import pytest

import phidata
from phidata.errors import DataError, UsageError

from .conftest import Folder, files, ids, ledger, row


@pytest.fixture
def birds(folder: Folder) -> Path:
    splits = {"train": [row("b1", "x/1.jpg"), row("b2", "x/2.jpg")], "test": [row("b3", "x/1.jpg")]}
    return folder("birds", splits, {"x/1.jpg": b"one", "x/2.jpg": b"two"})


@pytest.fixture
def cats(folder: Folder) -> Path:
    splits = {"train": [row("c1", "x/1.jpg", "x/2.jpg")], "val": [row("c2", "x/1.jpg")]}
    return folder("cats", splits, {"x/1.jpg": b"another one", "x/2.jpg": b"two"}, name="cats")


def test_splits_of_one_name_are_joined_in_the_order_of_the_folders(birds: Path, cats: Path, tmp_path: Path) -> None:
    merged = phidata.merge([cats, birds], out=tmp_path / "out")
    assert merged.splits == {"train": 3, "val": 1, "test": 1}
    assert ids(tmp_path / "out", "train") == ["c1", "b1", "b2"]
    assert ids(tmp_path / "out", "val") == ["c2"]
    assert ids(tmp_path / "out", "test") == ["b3"]


def test_an_image_of_a_taken_path_is_kept_apart(birds: Path, cats: Path, tmp_path: Path) -> None:
    merged = phidata.merge([birds, cats], out=tmp_path / "out")
    assert [source.renamed_images for source in merged.sources] == [0, 1]
    train = phidata.load(tmp_path / "out", "train")
    assert [row.images for row in train] == [("x/1.jpg",), ("x/2.jpg",), ("cats/x/1.jpg", "x/2.jpg")]
    assert train.image_bytes(2) == [b"another one", b"two"]
    assert phidata.load(tmp_path / "out", "val").image_bytes(0) == [b"another one"]


def test_the_same_bytes_under_the_same_path_are_stored_once(birds: Path, cats: Path, tmp_path: Path) -> None:
    phidata.merge([birds, cats], out=tmp_path / "out")
    stored = {name for name in files(tmp_path / "out") if name.startswith("images/")}
    assert stored == {"images/x/1.jpg", "images/x/2.jpg", "images/cats/x/1.jpg"}


def test_a_third_image_of_one_path_finds_a_free_name(folder: Folder, tmp_path: Path) -> None:
    sources = [folder(f"s{n}", {"train": [row(f"r{n}", "1.jpg")]}, {"1.jpg": b"%d" % n}) for n in range(3)]
    phidata.merge(sources, out=tmp_path / "out")
    images = [row.images for row in phidata.load(tmp_path / "out")]
    assert images == [("1.jpg",), ("birds-2/1.jpg",), ("birds-3/1.jpg",)]


def test_a_path_below_the_data_sets_name_may_be_taken_too(folder: Folder, tmp_path: Path) -> None:
    first = folder("a", {"train": [row("a1", "1.jpg", "cats/1.jpg")]}, {"1.jpg": b"1", "cats/1.jpg": b"2"})
    second = folder("b", {"train": [row("b1", "1.jpg")]}, {"1.jpg": b"3"}, name="cats")
    phidata.merge([first, second], out=tmp_path / "out")
    assert [row.images for row in phidata.load(tmp_path / "out")] == [("1.jpg", "cats/1.jpg"), ("cats/2/1.jpg",)]


def test_an_id_in_two_data_sets_is_refused_with_the_remedy(birds: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        phidata.merge([birds, birds], out=tmp_path / "out")
    place = f"{birds}/birds_test.jsonl:1: row 'b3'"
    assert str(caught.value) == (
        f"{place} and {place} have one id, and 2 more rows have the id of another; "
        "`--ids prefix` puts the names of the data sets before the ids"
    )
    assert not (tmp_path / "out").exists()


def test_an_id_twice_in_one_data_set_is_no_case_for_a_prefix(folder: Folder, tmp_path: Path) -> None:
    source = folder("a", {"train": [row("r"), row("s"), row("r")]}, {})
    for how in ("keep", "prefix"):
        with pytest.raises(DataError, match=r"birds_train\.jsonl:3: row 'r' .* give one of the two rows another id"):
            phidata.merge([source], out=tmp_path / "out", ids=how)


def test_a_prefix_makes_ids_unique_also_of_data_sets_of_one_name(birds: Path, tmp_path: Path) -> None:
    phidata.merge([birds, birds], out=tmp_path / "out", ids="prefix")
    assert ids(tmp_path / "out", "test") == ["birds/b3", "birds-2/b3"]


def test_shape_and_name_are_those_of_the_folders_where_they_agree(birds: Path, cats: Path, tmp_path: Path) -> None:
    arrow = phidata.merge([birds], out=tmp_path / "arrow", to="arrow")
    assert (arrow.name, arrow.shape) == ("birds", "arrow")
    assert phidata.merge([tmp_path / "arrow"], out=tmp_path / "again", dry_run=True).shape == "arrow"
    mixed = phidata.merge([tmp_path / "arrow", cats], out=tmp_path / "mixed")
    assert (mixed.name, mixed.shape) == ("merged", "images-jsonl")


@pytest.mark.parametrize("shape", ["images-jsonl", "arrow", "parquet", "webdataset"])
def test_every_shape_is_read_and_written(birds: Path, tmp_path: Path, shape: str) -> None:
    phidata.merge([birds], out=tmp_path / "there", to=shape)
    phidata.merge([tmp_path / "there"], out=tmp_path / "back", to="images-jsonl")
    for split in ("train", "test"):
        before, after = phidata.load(birds, split), phidata.load(tmp_path / "back", split)
        assert list(before) == list(after)
        assert [before.image_bytes(n) for n in range(len(before))] == [after.image_bytes(n) for n in range(len(after))]


def test_all_rows_are_in_the_ledger_and_the_folder_verifies(birds: Path, cats: Path, tmp_path: Path) -> None:
    phidata.merge([birds, cats], out=tmp_path / "out")
    assert ledger(tmp_path / "out") == [
        {"split": "test", "outcome": "written", "count": 1},
        {"split": "train", "outcome": "written", "count": 3},
        {"split": "val", "outcome": "written", "count": 1},
    ]
    assert phidata.verify(tmp_path / "out").ok


def test_the_same_folders_give_the_same_bytes(birds: Path, cats: Path, tmp_path: Path) -> None:
    for out in ("one", "other"):
        phidata.merge([birds, cats], out=tmp_path / out)
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_a_dry_run_counts_and_writes_nothing(birds: Path, cats: Path, tmp_path: Path) -> None:
    dry = phidata.merge([birds, cats], out=tmp_path / "out", dry_run=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["birds", "cats"]
    wet = phidata.merge([birds, cats], out=tmp_path / "out")
    assert (dry.written, wet.written, dry.splits, dry.sources) == (False, True, wet.splits, wet.sources)


def test_a_missing_image_is_named_and_nothing_is_left_behind(birds: Path, tmp_path: Path) -> None:
    (birds / "images/x/2.jpg").unlink()
    with pytest.raises(DataError) as caught:
        phidata.merge([birds], out=tmp_path / "out")
    assert str(caught.value) == (
        f"{birds}/birds_train.jsonl:2: row 'b2': {birds}/images/x/2.jpg: no such image; "
        "restore the file or drop its row"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["birds"]


def test_no_folder_is_written_into_one_that_is_read(birds: Path, tmp_path: Path) -> None:
    for out, dry_run in ((birds / "in", False), (tmp_path, True)):
        with pytest.raises(UsageError, match="one lies in the other; choose a folder beside"):
            phidata.merge([birds], out=out, dry_run=dry_run)
    with pytest.raises(UsageError, match="is read and can not be written too"):
        phidata.merge([birds], out=birds)


def test_a_folder_that_holds_anything_is_refused(birds: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").touch()
    for dry_run in (True, False):
        with pytest.raises(UsageError, match=r"holds other files \(notes\.txt\); choose a new or empty folder"):
            phidata.merge([birds], out=tmp_path / "out", dry_run=dry_run)


def test_what_can_not_be_merged_is_said(birds: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"nothing to merge; name the data folders"):
        phidata.merge([], out=out)
    with pytest.raises(UsageError, match=r"ids is 'new'; it is 'keep' or 'prefix'"):
        phidata.merge([birds], out=out, ids="new")
    with pytest.raises(UsageError, match="no data folder"):
        phidata.merge([tmp_path / "none"], out=out)
    with pytest.raises(UsageError, match="no shape 'csv'"):
        phidata.merge([birds], out=out, to="csv")
    with pytest.raises(UsageError, match="can not be the name of a data set"):
        phidata.merge([birds], out=out, name="a/b")
    (birds / ".journal").mkdir()
    with pytest.raises(DataError, match="is an unfinished conversion"):
        phidata.merge([birds], out=out)


@pytest.mark.parametrize(("one", "other"), [("t", "t/x/1.png"), ("t/x/1.png", "t")])
def test_an_image_that_is_called_like_a_folder_of_another_is_named(
    folder: Folder, tmp_path: Path, one: str, other: str
) -> None:
    sources = [
        folder("a", {"train": [row("a1", one)]}, {one: b"1"}),
        folder("b", {"train": [row("b1", other)]}, {other: b"2"}),
    ]
    with pytest.raises(DataError) as raised:
        phidata.merge(sources, out=tmp_path / "out")
    assert str(raised.value) == (
        f"row 'b1': image {other!r} can not lie beside {one!r}, one is a folder of the other; "
        "give one of them another path, or write another shape"
    )
    phidata.merge(sources, out=tmp_path / "tars", to="webdataset")
    assert phidata.load(tmp_path / "tars").image_bytes(1) == [b"2"]
