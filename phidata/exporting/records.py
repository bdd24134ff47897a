"""Writes a data set as files of another trainer's records, with the images beside them."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import msgspec

from phidata.console import progress
from phidata.exporting.formats import Format
from phidata.exporting.pictures import How, Pictures
from phidata.exporting.result import Exported, Refusal, Unfit, counted, refusal_of, report
from phidata.loading import ConversationData
from phidata.storage.folder import DataFolder
from phidata.storage.place import NewFolder
from phidata.storage.sink import new_file

REFUSED = "refused.tsv"

_encode = msgspec.json.Encoder().encode


def export_records(
    source: DataFolder,
    splits: dict[str, ConversationData],
    form: Format,
    out: Path,
    how: How,
    *,
    skip_refused: bool,
) -> Exported:
    """Write a file of records for each split, and put the images beside."""
    with NewFolder(out) as new:
        place = new.path
        refused: list[Refusal] = []
        left_out = {split: _write_records(place, split, rows, form, refused) for split, rows in splits.items()}
        report(refused, form.name, sum(map(len, splits.values())), skip_refused=skip_refused)
        pictures = Pictures(place, how)
        with progress(sum(map(len, splits.values())), f"export {form.name}") as bar:
            for split, rows in splits.items():
                for number in range(len(rows)):
                    if number not in left_out[split]:
                        pictures.add(rows, number)
                    bar.update()
        for name, text in _companions(source, form, splits, refused).items():
            with new_file(place / name) as file:
                file.write(text)
        os.sync()
        new.become_final()
    return Exported(
        to=form.name,
        out=str(out),
        splits={
            split: counted(f"{split}{form.suffix}", len(rows), len(left_out[split])) for split, rows in splits.items()
        },
        refused=tuple(refused),
        num_images=len(pictures),
        num_linked=pictures.num_linked,
        image_bytes=pictures.num_bytes,
    )


def _write_records(
    place: Path, split: str, rows: ConversationData, form: Format, refused: list[Refusal]
) -> frozenset[int]:
    """Write the records of a split, one a line, and return the numbers of the rows that do not fit."""
    left_out: set[int] = set()
    with new_file(place / f"{split}{form.suffix}") as file:
        before = b"[\n" if form.is_list else b""
        for number, row in enumerate(rows):
            try:
                record = form.encode(row)
            except Unfit as unfit:
                left_out.add(number)
                refused.append(refusal_of(split, rows, number, unfit))
                continue
            file.write(before + _encode(record) + (b"" if form.is_list else b"\n"))
            before = b",\n" if form.is_list else b""
        if form.is_list:
            file.write(b"[]\n" if before == b"[\n" else b"\n]\n")
    return frozenset(left_out)


def _companions(
    source: DataFolder, form: Format, splits: dict[str, ConversationData], refused: list[Refusal]
) -> dict[str, bytes]:
    """The other files of an export: what LLaMA-Factory finds data sets by, and the list of refused rows."""
    files: dict[str, bytes] = {}
    if form.name == "sharegpt":
        columns = {"messages": "conversations", "images": "images", "system": "system"}
        info = {
            f"{source.name}_{split}": {
                "file_name": f"{split}{form.suffix}",
                "formatting": "sharegpt",
                "columns": columns,
            }
            for split in splits
        }
        files["dataset_info.json"] = msgspec.json.format(_encode(info), indent=2) + b"\n"
    if refused:
        text = io.StringIO()
        table = csv.writer(text, delimiter="\t", lineterminator="\n")
        table.writerow(Refusal.__struct_fields__)
        table.writerows(msgspec.structs.astuple(refusal) for refusal in refused)
        files[REFUSED] = text.getvalue().encode()
    return files
