from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import phidata
from phidata.cli import main
from phidata.errors import DataError, UsageError
from phidata.storage.folder import open_folder
from phidata.storage.manifest import read_manifest
from phidata.storage.shape import Shape

from .conftest import ROWS, WITH_SYSTEM, WITH_TAG, picture, read_rows, records, row, turn, write_folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_file_for_each_split_lies_beside_its_images(pets: Path, tmp_path: Path) -> None:
    exported = phidata.export(pets, to="llava", out=tmp_path / "out")
    images = ["train/a/1.jpg", "train/a/2.jpg", "train/ü b.png"]
    assert names(tmp_path / "out") == sorted(["my_val.json", "train.json", *images])
    assert [record["id"] for record in records(tmp_path / "out" / "train.json")] == ["album/1", "2", "3"]
    assert [record["id"] for record in records(tmp_path / "out" / "my_val.json")] == ["v"]
    assert (exported.num_images, exported.num_linked) == (3, 3)
    assert exported.image_bytes == sum(len(picture(path)) for path in images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pets"]


def test_images_are_linked_copied_or_referred_to(pets: Path, tmp_path: Path) -> None:
    def inode(folder: Path) -> int:
        return (folder / "train" / "a" / "1.jpg").stat().st_ino

    for how in ("link", "copy", "reference"):
        phidata.export(pets, to="swift", out=tmp_path / how, images=how)
    assert inode(tmp_path / "link") == inode(pets / "images")
    assert inode(tmp_path / "copy") != inode(pets / "images")
    assert names(tmp_path / "reference") == ["my_val.jsonl", "train.jsonl"]
    assert records(tmp_path / "reference" / "train.jsonl") == records(tmp_path / "link" / "train.jsonl")


def test_a_disk_that_has_no_links_gets_copies(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    exported = phidata.export(pets, to="swift", out=tmp_path / "out")
    assert (exported.num_images, exported.num_linked) == (3, 0)
    assert (tmp_path / "out" / "train" / "a" / "1.jpg").read_bytes() == picture("train/a/1.jpg")


def test_llamafactory_finds_the_splits_in_dataset_info(pets: Path, tmp_path: Path) -> None:
    phidata.export(pets, to="sharegpt", out=tmp_path / "out")
    columns = {"messages": "conversations", "images": "images", "system": "system"}
    assert json.loads((tmp_path / "out" / "dataset_info.json").read_text()) == {
        "pets_train": {"file_name": "train.json", "formatting": "sharegpt", "columns": columns},
        "pets_my_val": {"file_name": "my_val.json", "formatting": "sharegpt", "columns": columns},
    }


@pytest.mark.parametrize(("shape", "name"), [("images-jsonl", "pets"), ("parquet", "data")])
def test_a_folder_without_a_manifest_is_called_as_its_files_are(tmp_path: Path, shape: Shape, name: str) -> None:
    source = write_folder(tmp_path / "some folder", ROWS[2], shape=shape)
    for path in [source / "manifest.json", *source.rglob("*my_val*")]:
        path.unlink()
    assert open_folder(source).name == name
    exported = phidata.export(source, to="webdataset", out=tmp_path / "out")
    assert sum(split.written for split in exported.splits.values()) == 1
    assert read_manifest(tmp_path / "out").name == name
    assert phidata.merge([source], out=tmp_path / "merged", dry_run=True).name == name


def test_the_splits_stand_in_the_order_of_the_manifest(pets: Path) -> None:
    assert list(open_folder(pets).files) == ["train", "my_val"]


def test_rows_that_do_not_fit_are_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_folder(tmp_path / "pets", ROWS[0], WITH_TAG, WITH_SYSTEM)
    assert main(["export", str(source), "--to", "llava", "--out", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"refused: {source}/pets_train.jsonl:2: row '5': tag-in-text: `conversations[0].user` spells <image>, which "
        "would count as the place of a picture",
        f"refused: {source}/pets_train.jsonl:3: row '4': system-prompt: LLaVA has no place for the system prompt in "
        "metadata.system",
        "error: llava can not hold 2 of 4 rows, and nothing is written; change these rows, or pass --skip-refused to "
        "write the others",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_refused_rows_are_left_out_and_listed_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_folder(tmp_path / "pets", WITH_TAG, ROWS[0], WITH_SYSTEM)
    out = tmp_path / "out"
    assert main(["export", str(source), "--to", "llava", "--out", str(out), "--skip-refused"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "            rows   written   refused",
        "train          3         1         2",
        "my_val         1         1         0",
        f"3 images (3 linked), 0.0 MB, in {out}",
    ]
    assert [record["id"] for record in records(out / "train.json")] == ["album/1"]
    assert [line.split("\t")[:5] for line in (out / "refused.tsv").read_text().splitlines()] == [
        ["split", "number", "id", "place", "code"],
        ["train", "0", "5", f"{source}/pets_train.jsonl:1", "tag-in-text"],
        ["train", "2", "4", f"{source}/pets_train.jsonl:3", "system-prompt"],
    ]
    assert not (out / "train" / "c.webp").exists()


def test_a_split_of_which_nothing_fits_is_an_empty_list(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "pets", WITH_TAG)
    phidata.export(source, to="llava", out=tmp_path / "out", skip_refused=True)
    assert (tmp_path / "out" / "train.json").read_bytes() == b"[]\n"


def test_the_report_can_be_json(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(pets), "--to", "swift", "--out", str(out), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "to": "swift",
        "out": str(out),
        "splits": {
            "train": {"file": "train.jsonl", "rows": 3, "written": 3, "refused": 0},
            "my_val": {"file": "my_val.jsonl", "rows": 1, "written": 1, "refused": 0},
        },
        "refused": [],
        "num_images": 3,
        "num_linked": 3,
        "image_bytes": sum(len(picture(path)) for path in ("train/a/1.jpg", "train/a/2.jpg", "train/ü b.png")),
    }


def test_webdataset_is_a_data_folder_of_that_shape(pets: Path, tmp_path: Path) -> None:
    exported = phidata.export(pets, to="webdataset", out=tmp_path / "out")
    assert exported.splits["train"].file == "train-00000-of-00001.tar"
    assert read_rows(tmp_path / "out", "train") == ROWS
    assert phidata.verify(tmp_path / "out").ok


def test_a_row_that_repeats_the_id_before_it_does_not_fit_into_a_tar(tmp_path: Path) -> None:
    again = row(turn("And?", "Ben."), id=ROWS[2].id)
    source = write_folder(tmp_path / "pets", *ROWS, again)
    with pytest.raises(DataError, match="webdataset can not hold 1 of 5 rows"):
        phidata.export(source, to="webdataset", out=tmp_path / "out")
    exported = phidata.export(source, to="webdataset", out=tmp_path / "out", skip_refused=True)
    assert [(refusal.number, refusal.code) for refusal in exported.refused] == [(3, "repeated-id")]
    assert read_rows(tmp_path / "out", "train") == ROWS


def test_a_missing_image_stops_the_export_and_names_its_row(pets: Path, tmp_path: Path) -> None:
    (pets / "images" / "train" / "a" / "2.jpg").unlink()
    with pytest.raises(DataError) as error:
        phidata.export(pets, to="messages", out=tmp_path / "out")
    assert str(error.value) == (
        f"{pets}/pets_train.jsonl:1: row 'album/1': image 'train/a/2.jpg' is missing in {pets}/images"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]


def test_an_image_that_is_called_like_a_file_of_the_export_is_refused(tmp_path: Path) -> None:
    source = write_folder(tmp_path / "pets")
    (source / "images" / "train.jsonl").write_bytes(picture("train/a/1.jpg"))
    line = '{"id": "1", "source": "s", "conversations": [{"images": ["train.jsonl"], "user": "a", "assistant": "b"}]}\n'
    (source / "pets_train.jsonl").write_text(line)
    with pytest.raises(DataError, match="is called like a file of the export; rename it"):
        phidata.export(source, to="swift", out=tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"to": "alpaca"}, "no format 'alpaca'; there are llava, sharegpt, messages, swift, webdataset"),
        ({"images": "move"}, "images is 'move'; it is one of link, copy, reference"),
        ({"to": "webdataset", "images": "reference"}, "the images of pets can not be referred to"),
        ({"out": "pets"}, "pets is read and can not be written too; choose a new folder"),
        ({"out": "pets/export"}, "of pets/export and pets one lies in the other"),
        ({"to": "webdataset", "out": "pets/export"}, "of pets/export and pets one lies in the other"),
        ({"to": "webdataset", "out": "pets"}, "pets is read and can not be written too; choose a new folder"),
        ({"out": "full"}, "full holds other files (kept.txt); choose a new or empty folder"),
        ({"out": "full/kept.txt"}, "full/kept.txt is a file; choose a new or empty folder"),
        ({"folder": "nowhere"}, "no data folder nowhere"),
    ],
)
@pytest.mark.usefixtures("pets")
def test_what_can_not_be_done_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], message: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("kept")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        phidata.export(**{"folder": "pets", "to": "llava", "out": "out", **arguments})
    assert str(error.value).startswith(message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "pets"]


@pytest.mark.parametrize("to", ["sharegpt", "messages", "swift"])
def test_the_datasets_library_reads_the_records(tmp_path: Path, to: str) -> None:
    import datasets

    source = write_folder(tmp_path / "pets", ROWS[2], *ROWS[:2], WITH_SYSTEM)
    phidata.export(source, to=to, out=tmp_path / "out")
    (file,) = (tmp_path / "out").glob("train.json*")
    read = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert read["id"][:] == ["3", "album/1", "2", "4"]
    assert read["images"][1] == ["train/a/1.jpg", "train/a/2.jpg", "train/ü b.png"]
    assert json.loads(read["phidata"][0]) == {"source": "pets", "metadata": {"licence": "CC0", "tags": [1, None]}}
