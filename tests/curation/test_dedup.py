"""phidata.dedup."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

import phidata
from phidata.curation import inventory
from phidata.curation.findings import Match
from phidata.errors import DataError, UsageError

from .conftest import PHOTOS, Folder, encoded, files, ids, ledger, photo, row, smaller

PICTURES = {f"{name}.jpg": photo(name) for name in ("plate", "street", "bus")}


def test_a_row_that_is_there_twice_is_left_out_and_names_its_twin(folder: Folder, tmp_path: Path) -> None:
    rows = [row("a", "plate.jpg"), row("b", "street.jpg"), row("c", "copy.jpg")]
    source = folder("in", {"train": rows}, PICTURES | {"copy.jpg": photo("plate")})
    found = phidata.dedup(source, out=tmp_path / "out")
    assert found.duplicates == (Match(split="train", id="c", twin_split="train", twin="a", distance=None),)
    assert ids(tmp_path / "out", "train") == ["a", "b"]
    assert ledger(tmp_path / "out") == [
        {"split": "train", "outcome": "written", "count": 2},
        {
            "split": "train",
            "outcome": "skipped",
            "count": 1,
            "reason": "the same as another row",
            "id": "c",
            "twin": "a",
            "twin_split": "train",
        },
    ]
    assert phidata.verify(tmp_path / "out").ok
    assert phidata.dedup(tmp_path / "out").num_open == 0


@pytest.mark.parametrize(
    ("other", "is_twin"),
    [
        (row("b", "plate.jpg", user=" What \t is\n it? "), True),
        (row("b", "plate.jpg", source="cats", metadata={"n": 1}), True),
        (row("b", "plate.jpg", user="What is it"), False),
        (row("b", "plate.jpg", user="what is it?"), False),
        (row("b", "plate.jpg", assistant="A plate."), False),
        (row("b", "plate.jpg", answers=("A bird.",)), False),
        (row("b", "plate.jpg", "plate.jpg"), False),
        (row("b"), False),
    ],
)
def test_rows_are_twins_when_they_say_and_show_the_same(
    folder: Folder, other: phidata.Conversation, is_twin: bool
) -> None:
    source = folder("in", {"train": [row("a", "plate.jpg"), other]}, PICTURES)
    for distance in (None, 6):
        assert len(phidata.dedup(source, distance=distance).duplicates) == is_twin


def test_text_is_compared_in_the_composed_form_of_unicode(folder: Folder) -> None:
    source = folder("in", {"train": [row("a", user="Caf\u00e9?"), row("b", user="Cafe\u0301?")]}, {})
    assert len(phidata.dedup(source).duplicates) == 1


def test_images_count_in_the_turn_and_the_order_in_which_they_are_shown(folder: Folder) -> None:
    rows = [row("a", "plate.jpg", "street.jpg"), row("b", "street.jpg", "plate.jpg")]
    assert phidata.dedup(folder("in", {"train": rows}, PICTURES)).duplicates == ()


def test_a_picture_that_was_compressed_anew_is_a_near_one(folder: Folder, tmp_path: Path) -> None:
    rows = [row("a", "plate.jpg"), row("b", "street.jpg"), row("c", "small.jpg")]
    source = folder("in", {"train": rows}, PICTURES | {"small.jpg": smaller("plate")})
    found = phidata.dedup(source, out=tmp_path / "out")
    assert found.duplicates == (Match(split="train", id="c", twin_split="train", twin="a", distance=4),)
    assert found.left_out == {"like another row": 1}
    assert ledger(tmp_path / "out")[1]["distance"] == 4
    assert phidata.dedup(source, distance=3).duplicates == ()
    assert phidata.dedup(source, distance=None).duplicates == ()


def test_all_images_of_near_rows_have_to_be_near(folder: Folder) -> None:
    rows = [row("a", "plate.jpg", "bus.jpg"), row("b", "small.jpg", "street.jpg"), row("c", "bus.jpg", "small.jpg")]
    source = folder("in", {"train": rows}, PICTURES | {"small.jpg": smaller("plate")})
    assert phidata.dedup(source).duplicates == ()


def test_the_nearest_twin_is_named_and_is_never_left_out_itself(folder: Folder) -> None:
    """c is near to a and b, and b is a near twin of a itself: c names a."""
    image = Image.open(PHOTOS / "bus.jpg")
    more = {"b.jpg": smaller("bus"), "c.jpg": encoded(image, quality=20), "d.png": encoded(image, "PNG")}
    rows = [row("a", "bus.jpg"), row("b", "b.jpg"), row("c", "c.jpg"), row("d", "d.png")]
    found = phidata.dedup(folder("in", {"train": rows}, PICTURES | more))
    assert [(match.id, match.twin) for match in found.duplicates] == [("b", "a"), ("c", "a"), ("d", "a")]


def leaking(folder: Folder) -> Path:
    train = [row("t1", "plate.jpg"), row("t2", "street.jpg", user="Where?"), row("t3", "bus.jpg")]
    test = [row("e1", "small.jpg", user="Who?"), row("e2", "copy.jpg", user="When?"), row("e3")]
    more = {"small.jpg": smaller("plate"), "copy.jpg": photo("street")}
    return folder("in", {"train": train, "test": test}, PICTURES | more)


def test_leakage_is_told_by_row_and_image(folder: Folder) -> None:
    [leak] = phidata.dedup(leaking(folder)).leakage
    assert (leak.split, leak.other, leak.rows, leak.exact, leak.near, leak.other_rows) == ("test", "train", 2, 1, 1, 2)
    assert leak.matches == (
        Match(
            split="test",
            id="e1",
            twin_split="train",
            twin="t1",
            distance=4,
            image="small.jpg",
            twin_image="plate.jpg",
        ),
        Match(
            split="test",
            id="e2",
            twin_split="train",
            twin="t2",
            distance=None,
            image="copy.jpg",
            twin_image="copy.jpg",
        ),
    )


def test_train_loses_what_test_shows_and_test_loses_nothing(folder: Folder, tmp_path: Path) -> None:
    found = phidata.dedup(leaking(folder), out=tmp_path / "out")
    assert found.left_out == {"shows an image like one of split 'test'": 1, "shows an image of split 'test'": 1}
    assert ids(tmp_path / "out", "train") == ["t3"]
    assert ids(tmp_path / "out", "test") == ["e1", "e2", "e3"]
    assert [(line["id"], line["twin"], line["twin_split"]) for line in ledger(tmp_path / "out")[2:]] == [
        ("t1", "e1", "test"),
        ("t2", "e2", "test"),
    ]
    again = phidata.dedup(tmp_path / "out")
    assert (found.num_open, again.num_open, again.leakage) == (0, 0, ())


def test_no_row_is_left_out_for_one_that_is_left_out_itself(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """b is like a, which is like an image of test, which b is not like: a goes, so b stays, and c goes for b."""
    monkeypatch.setattr(inventory, "hash_of_bytes", lambda data: int(data, 2))
    images = {"a": b"000111", "b": b"111111", "c": b"0111111", "e": b"000000"}
    splits = {"train": [row("a", "a"), row("b", "b"), row("c", "c")], "test": [row("e", "e", user="Who?")]}
    found = phidata.dedup(folder("in", splits, images), out=tmp_path / "out", distance=3)
    assert [(match.id, match.twin) for match in found.duplicates] == [("b", "a"), ("c", "a")]
    assert [(line["id"], line["twin"]) for line in ledger(tmp_path / "out")[2:]] == [("a", "e"), ("c", "b")]
    assert ids(tmp_path / "out", "train") == ["b"]


def test_the_split_to_keep_can_be_named(folder: Folder, tmp_path: Path) -> None:
    phidata.dedup(leaking(folder), out=tmp_path / "out", keep_splits=["train"])
    assert ids(tmp_path / "out", "train") == ["t1", "t2", "t3"]
    assert ids(tmp_path / "out", "test") == ["e3"]


def test_twins_within_a_kept_split_are_told_and_stay(folder: Folder, tmp_path: Path) -> None:
    splits = {"train": [row("t", "plate.jpg")], "test": [row("e1", "bus.jpg"), row("e2", "bus.jpg")]}
    found = phidata.dedup(folder("in", splits, PICTURES), out=tmp_path / "out")
    assert [(match.id, match.twin) for match in found.duplicates] == [("e2", "e1")]
    assert ids(tmp_path / "out", "test") == ["e1", "e2"]


def test_kept_splits_that_share_images_stay_open(folder: Folder, tmp_path: Path) -> None:
    splits = {"train": [], "val": [row("v", "bus.jpg")], "test": [row("e", "bus.jpg", user="Who?")]}
    source = folder("in", splits, PICTURES)
    assert phidata.dedup(source, out=tmp_path / "both").num_open == 1
    assert phidata.dedup(source, out=tmp_path / "test", keep_splits=["test"]).num_open == 0
    assert ids(tmp_path / "test", "val") == []


@pytest.mark.parametrize(
    ("splits", "kept"),
    [
        (["train", "val", "test"], ("test", "val")),
        (["dev", "train"], ("dev",)),
        (["train"], ()),
        (["test"], ()),
        (["val", "test"], ("test",)),
        (["train", "extra"], ()),
    ],
)
def test_evaluation_splits_are_kept_as_long_as_another_remains(
    folder: Folder, splits: list[str], kept: tuple[str, ...]
) -> None:
    source = folder("in", {split: [row(split)] for split in splits}, {})
    assert phidata.dedup(source).keep_splits == kept


def test_a_question_more_about_an_image_is_no_duplicate(folder: Folder) -> None:
    rows = [row("a", "bus.jpg", user="Where?"), row("b", "bus.jpg", user="When?")]
    found = phidata.dedup(folder("in", {"train": rows}, PICTURES))
    assert (found.num_open, found.images.shown, found.images.contents) == (0, 2, 1)


def test_copies_of_images_are_counted_and_listed(folder: Folder) -> None:
    images = PICTURES | {"copy.jpg": photo("bus"), "small.jpg": smaller("bus")}
    found = phidata.dedup(folder("in", {"train": [row("a", *sorted(images)), row("b", "bus.jpg")]}, images))
    assert found.images.copies == (("bus.jpg", "copy.jpg"),)
    assert (found.images.shown, found.images.paths, found.images.contents, found.images.near_pairs) == (6, 5, 4, 1)


def test_pictures_without_structure_are_compared_by_their_bytes(folder: Folder) -> None:
    white, black = (encoded(Image.new("RGB", (64, 64), colour), "PNG") for colour in ("white", "black"))
    images = {"1.png": white, "2.png": black, "3.png": white}
    found = phidata.dedup(folder("in", {"train": [row("a", "1.png"), row("b", "2.png"), row("c", "3.png")]}, images))
    assert [(match.id, match.twin) for match in found.duplicates] == [("c", "a")]
    assert found.images.flat == 2


def test_broken_pictures_are_compared_by_their_bytes_and_told(folder: Folder) -> None:
    claims = b"IHDR" + struct.pack(">2I5B", 20_000, 20_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + claims + struct.pack(">I", zlib.crc32(claims))
    images = {"1.jpg": photo("bus")[:1000], "2.jpg": b"no picture", "3.jpg": b"no picture", "4.png": bomb}
    rows = [row(path, path) for path in images]
    source = folder("in", {"train": rows}, images)
    found = phidata.dedup(source)
    assert [(match.id, match.twin) for match in found.duplicates] == [("3.jpg", "2.jpg")]
    assert (found.images.broken, found.images.flat) == (3, 0)
    assert found.images.first_broken is not None
    assert found.images.first_broken.startswith("1.jpg: image file is truncated")
    del rows[0]
    assert phidata.dedup(folder("less", {"train": rows}, images)).images.first_broken == (
        "2.jpg: this file is not an image: it begins with 'no picture'"
    )
    exact = phidata.dedup(source, distance=None)
    assert (len(exact.duplicates), exact.images.broken, exact.images.flat) == (1, 0, 0)


@pytest.mark.parametrize("shape", ["arrow", "parquet", "webdataset"])
def test_the_findings_are_the_same_in_every_shape(folder: Folder, tmp_path: Path, shape: str) -> None:
    source = leaking(folder)
    phidata.merge([source], out=tmp_path / "shaped", to=shape)
    before, after = phidata.dedup(source), phidata.dedup(tmp_path / "shaped", out=tmp_path / "out")
    assert (before.duplicates, before.leakage, before.left_out) == (after.duplicates, after.leakage, after.left_out)
    assert phidata.verify(tmp_path / "out").ok


def test_the_number_of_threads_changes_nothing(folder: Folder, tmp_path: Path) -> None:
    source = leaking(folder)
    for jobs in (1, 3):
        phidata.dedup(source, out=tmp_path / str(jobs), jobs=jobs)
    assert files(tmp_path / "1") == files(tmp_path / "3")


def test_a_dry_run_tells_what_would_be_left_out(folder: Folder, tmp_path: Path) -> None:
    source = leaking(folder)
    dry = phidata.dedup(source, out=tmp_path / "out", dry_run=True)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    wet = phidata.dedup(source, out=tmp_path / "out")
    assert (dry.left_out, dry.splits) == (wet.left_out, wet.splits)
    assert (dry.num_open, wet.num_open) == (2, 0)


def test_a_missing_image_is_named_and_nothing_is_left_behind(folder: Folder, tmp_path: Path) -> None:
    source = folder("in", {"train": [row("a", "none.jpg")]}, {})
    for out in (None, tmp_path / "out"):
        with pytest.raises(DataError, match=r"birds_train\.jsonl:1: row 'a': .*none\.jpg: no such image; restore"):
            phidata.dedup(source, out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_what_can_not_be_asked_is_said(folder: Folder) -> None:
    source = folder("in", {"train": [row("a")]}, {})
    with pytest.raises(UsageError, match="distance is 20; at most 15 of the 64 bits may differ, and at least 0"):
        phidata.dedup(source, distance=20)
    with pytest.raises(UsageError, match=r"no split 'tset' in .*; it has 'train'"):
        phidata.dedup(source, keep_splits=["tset"])
    with pytest.raises(UsageError, match="one lies in the other"):
        phidata.dedup(source, out=source / "out")
