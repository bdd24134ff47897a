"""`phidata verify`: anything that is not as the manifest says is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import phidata
from phidata import DataError, UsageError
from phidata.cli import main
from phidata.storage.card import data_card
from phidata.storage.ledger import LedgerLine
from phidata.storage.manifest import read_manifest
from phidata.storage.shape import Shape
from phidata.storage.writer import DatasetWriter

from .conftest import GREEN, RED, ROWS, images_of, numbered, write_folder


@pytest.fixture
def folder(tmp_path: Path, shape: Shape) -> Path:
    with DatasetWriter(
        tmp_path / "out", name="birds", converter="merge", versions={}, splits=("train", "val"), shape=shape
    ) as writer:
        for row in ROWS:
            writer.add("train", row, images_of(row))
        writer.skip("val", "is a duplicate", id="x")
        writer.finish()
    return tmp_path / "out"


def messages(folder: Path) -> list[str]:
    return [f"{found.severity}: {found.message}" for found in phidata.verify(folder).mismatches]


def change_manifest(folder: Path, change: Callable[[Any], None]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "README.md").write_text(data_card(read_manifest(folder)))


def data_file(folder: Path) -> Path:
    name = json.loads((folder / "manifest.json").read_text())["splits"]["train"]["files"][0]["name"]
    return folder / name


def test_a_whole_folder_has_no_mismatch(folder: Path, shape: Shape) -> None:
    found = phidata.verify(folder)
    assert (found.ok, found.mismatches, found.shape) == (True, (), shape)
    assert (found.num_rows, found.num_images) == (3, 2)
    files = 4 if shape == "images-jsonl" else 2
    assert found.num_files == files


def test_a_flipped_bit_is_found_in_every_file(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for split in manifest["splits"].values():
        for file in split["files"]:
            path = folder / file["name"]
            if not (content := bytearray(path.read_bytes())):
                continue
            for position in range(0, len(content), 97):
                content[position] ^= 4
                path.write_bytes(content)
                assert f"error: {path} was changed: its sha256 is not that of the manifest; copy it again" in messages(
                    folder
                )
                content[position] ^= 4
            path.write_bytes(content)
    assert messages(folder) == []


def test_a_file_that_is_gone_or_cut_is_named(folder: Path) -> None:
    path = data_file(folder)
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    said = f"error: {path} has {len(content) - 3} bytes and its manifest says {len(content)}; copy it again"
    assert said in messages(folder)
    path.unlink()
    assert f"error: {path} is missing; copy it again" in messages(folder)
    assert not phidata.verify(folder).ok


def test_an_image_that_is_gone_or_changed_is_found(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "images-jsonl")
    image = tmp_path / "out" / "images" / "train" / "a.png"
    image.write_bytes(GREEN)
    [changed] = messages(tmp_path / "out")
    assert changed.startswith(f"error: {tmp_path}/out has 2 images of {2 * len(GREEN)} bytes with sha256 ")
    assert f"its manifest says 2 of {len(RED) + len(GREEN)} bytes with " in changed
    image.unlink()
    assert messages(tmp_path / "out") == [
        f"error: {tmp_path}/out/birds_train.jsonl:{line}: row {ROWS[line - 1].id!r}: {image}: no such image; "
        "restore the file or drop its row"
        for line in (1, 3)
    ]


def test_many_missing_images_are_counted_not_listed(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "images-jsonl", numbered(30))
    (tmp_path / "out" / "images" / "train" / "a.png").unlink()
    found = messages(tmp_path / "out")
    assert len(found) == 21
    assert found[-1] == "error: 10 more rows or files can not be read"


def test_rows_that_do_not_add_up_are_found(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest["splits"]["train"].update(rows_in=4, written=4))
    change_manifest(folder, lambda manifest: manifest["rows"].update(skipped=2))
    assert messages(folder) == [
        f"error: {folder}/manifest.json does not add up for all rows: 4 rows in are not 3 written + 2 skipped + "
        "0 failed; make the folder again",
        f"error: {folder}/manifest.json says that 4 rows of train are written and 3 are in its files; "
        "make the folder again",
        f"error: {folder}/ledger.jsonl has 3 rows written of train and the manifest says 4; make the folder again",
        f"error: {folder}/ledger.jsonl has 1 rows skipped of all rows and the manifest says 2; make the folder again",
    ]


def test_a_number_of_rows_that_is_not_that_of_the_file_is_found(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest["splits"]["train"]["files"][0].update(rows=2))
    assert f"error: {data_file(folder)} has 3 rows and its manifest says 2" in messages(folder)


def test_another_number_of_images_than_the_manifest_says_is_found(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest["images"].update(num=3))
    assert [found.file for found in phidata.verify(folder).mismatches] == [
        "images" if (folder / "images").exists() else "manifest.json"
    ]


def test_a_ledger_that_is_gone_or_none_is_named(folder: Path) -> None:
    (folder / "ledger.jsonl").write_text('{"split": "train"}\n')
    assert messages(folder) == [
        f"error: {folder}/ledger.jsonl:1: this is not a line of a ledger (Object missing required field `outcome`); "
        "make the folder again"
    ]
    (folder / "ledger.jsonl").unlink()
    assert messages(folder) == [
        f"error: no ledger.jsonl in {folder}, which tells what became of every row; make the folder again"
    ]


def test_files_that_nobody_accounts_for_are_warnings(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "state").touch()
    (folder / ".gitattributes").touch()
    assert messages(folder) == [f"warning: {folder}/notes.txt is no part of the data set; remove it if nobody needs it"]
    assert phidata.verify(folder).ok
    for number in range(30):
        (folder / f"z{number:02}").touch()
    assert messages(folder)[-1] == "warning: 11 more files are no part of the data set"


def test_a_card_that_is_gone_is_an_error_and_an_edited_one_a_warning(folder: Path) -> None:
    with (folder / "README.md").open("a") as card:
        card.write("Thanks to all who helped.\n")
    assert messages(folder) == [
        f"warning: {folder}/README.md is not the card that phidata writes for this manifest; "
        "keep it if somebody has edited it"
    ]
    assert "README.md" in [file.name for file in phidata.push(folder, "org/birds", dry_run=True).files]
    (folder / "README.md").unlink()
    assert messages(folder) == [
        f"error: {folder}/README.md is missing, which tells the hub which files are which split; copy it again"
    ]


def test_the_list_of_failed_rows_is_missed_where_a_conversion_has_failed_rows(tmp_path: Path) -> None:
    failed = LedgerLine(split="train", outcome="failed", count=1, reason="no image", id="a", file="a.json", line=3)
    with DatasetWriter(tmp_path / "out", name="birds", converter="llava", versions={}, splits=("train",)) as writer:
        writer.fail("train", "its image is gone", id="b")
        writer.account(failed)
        writer.finish()
    listed = tmp_path / "out" / "failures.jsonl"
    assert messages(tmp_path / "out") == [
        f"error: {listed} is missing, which names the 1 rows that failed; copy it again"
    ]
    listed.write_text('{"id": "a"}\n')
    assert messages(tmp_path / "out") == []


def test_images_are_not_called_strangers_while_rows_are_unread(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "images-jsonl")
    rows = tmp_path / "out" / "birds_train.jsonl"
    rows.unlink()
    assert messages(tmp_path / "out") == [f"error: {rows} is missing; copy it again"]


def test_what_load_from_disk_needs_is_checked(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", "arrow")
    (tmp_path / "out" / "train" / "state.json").unlink()
    (tmp_path / "out" / "dataset_dict.json").write_text("{}")
    assert messages(tmp_path / "out") == [
        f"error: {tmp_path}/out/dataset_dict.json was changed, without which `datasets.load_from_disk` fails; "
        "copy it again",
        f"error: {tmp_path}/out/train/state.json is missing, without which `datasets.load_from_disk` fails; "
        "copy it again",
    ]


def test_what_is_no_finished_folder_can_not_be_verified(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data folder"):
        phidata.verify(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"no manifest\.json in .*; it holds no finished conversion"):
        phidata.verify(tmp_path)
    (tmp_path / ".journal").mkdir()
    with pytest.raises(DataError, match="is an unfinished conversion"):
        phidata.verify(tmp_path)


def test_the_command_prints_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "out", "webdataset")
    assert main(["verify", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/out: 1 files, 3 rows, 2 images, 0.0 MB: all is as the manifest says\n"
    assert err.startswith("verify: 3/3 rows in ")
    (tmp_path / "out" / "ledger.jsonl").unlink()
    (tmp_path / "out" / "x").touch()
    assert main(["verify", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out == (
        f"error: no ledger.jsonl in {tmp_path}/out, which tells what became of every row; make the folder again\n"
        f"warning: {tmp_path}/out/x is no part of the data set; remove it if nobody needs it\n"
        f"{tmp_path}/out: 1 files, 3 rows, 2 images, 0.0 MB: this is not what the manifest says\n"
    )
    assert main(["verify", str(tmp_path / "out"), "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["num_rows"], [one["severity"] for one in found["mismatches"]]) == (
        False,
        3,
        ["error", "warning"],
    )
    assert main(["verify", str(tmp_path / "gone")]) == 2
    assert capsys.readouterr().err.startswith(f"error: no data folder {tmp_path}/gone; ")
