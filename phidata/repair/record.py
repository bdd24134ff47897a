"""What a repair means for the data folder: its manifest, ledger and card say again what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace as replace_fields
from pathlib import Path

from msgspec.structs import replace

from phidata.errors import DataError, UsageError
from phidata.repair.outcome import RepairedFile
from phidata.storage.card import data_card
from phidata.storage.folder import CARD, MANIFEST, open_folder
from phidata.storage.image_list import ImageList
from phidata.storage.ledger import LEDGER, LedgerLine, read_ledger, write_ledger
from phidata.storage.manifest import DataFile, ImageTree, Manifest, SplitLedger, read_manifest
from phidata.storage.sink import new_file
from phidata.storage.stores import open_split

COPY = "is the copy of another row, deleted by phidata validate --fix"
OPTION = "fix"  # where the manifest says what was repaired


def record_repairs(files: Iterable[RepairedFile]) -> Iterator[str]:
    """Bring the manifest of each folder up to date; yields what a person should know about it."""
    by_folder: dict[Path, list[RepairedFile]] = {}
    for file in files:
        by_folder.setdefault(Path(file.path).parent, []).append(file)
    for root, repaired in by_folder.items():
        if (root / MANIFEST).is_file():
            yield from _record(root, repaired)


def _record(root: Path, repaired: list[RepairedFile]) -> Iterator[str]:
    try:
        old = read_manifest(root)
    except UsageError as error:
        yield f"the manifest was not brought up to date: {error}"
        return
    new = old
    for file in repaired:
        name = Path(file.path).name
        split = next((name_ for name_, ledger in new.splits.items() if any(f.name == name for f in ledger.files)), None)
        if split is None:
            yield f"{root / MANIFEST} does not name {name}, and says nothing of its repairs"
            continue
        before = next(entry for entry in new.splits[split].files if entry.name == name)
        if before.sha256 != file.sha256_before:
            yield f"{file.path} was not what the manifest says before it was repaired; the manifest has its new sha256"
        if before.rows != file.rows:  # what was deleted may never have been a row of this data set
            yield f"{file.path} had {file.rows:,} rows and its manifest says {before.rows:,}, which is left as it is"
            new = _with_file(new, split, before, replace_fields(file, copies=0, added_rows=0))
            continue
        new = _with_file(new, split, before, file)
        if file.copies or file.added_rows:
            _write_ledger(root, split, file)
    if any(file.paths_changed for file in repaired):
        try:
            new = replace(new, images=_image_tree(root, new))
        except DataError as error:
            yield f"the manifest keeps its old list of images, since one can not be read: {error}"
    if (root / CARD).is_file() and (root / CARD).read_text("utf-8") == data_card(old):
        with new_file(root / CARD) as card:
            card.write(data_card(new).encode())
    with new_file(root / MANIFEST) as manifest:
        manifest.write(new.to_json())


def _with_file(manifest: Manifest, split: str, before: DataFile, file: RepairedFile) -> Manifest:
    """The manifest after one file was repaired: rows that were copies are skipped ones now."""
    delta = file.added_rows - file.copies
    ledger = manifest.splits[split]
    entry = replace(before, rows=before.rows + delta, bytes=file.bytes, sha256=file.sha256)
    files = tuple(entry if known.name == before.name else known for known in ledger.files)
    own: SplitLedger = replace(
        ledger,
        files=files,
        rows_in=ledger.rows_in + file.added_rows,
        written=ledger.written + delta,
        skipped=ledger.skipped + file.copies,
    )
    reasons = dict(manifest.rows.skip_reasons)
    if file.copies:
        reasons[COPY] = reasons.get(COPY, 0) + file.copies
    rows = replace(
        manifest.rows,
        rows_in=manifest.rows.rows_in + file.added_rows,
        written=manifest.rows.written + delta,
        skipped=manifest.rows.skipped + file.copies,
        skip_reasons=dict(sorted(reasons.items())),
    )
    done = dict(manifest.options.get(OPTION, {}))
    for code, count in file.changes.items():
        done[code] = done.get(code, 0) + count
    options = {**manifest.options, OPTION: dict(sorted(done.items()))}
    return replace(manifest, splits={**manifest.splits, split: own}, rows=rows, options=options)


def _write_ledger(root: Path, split: str, file: RepairedFile) -> None:
    if not (root / LEDGER).is_file():
        return
    delta = file.added_rows - file.copies
    lines: list[LedgerLine] = []
    for line in read_ledger(root):
        if line.split == split and line.outcome == "written" and line.count + delta >= 0:
            lines.append(replace(line, count=line.count + delta))
            delta = 0
        else:
            lines.append(line)
    if file.copies:
        lines.append(LedgerLine(split=split, outcome="skipped", count=file.copies, reason=COPY))
    write_ledger(root, lines)


def _image_tree(root: Path, manifest: Manifest) -> ImageTree:
    """The list of images as the rows name them now, in the order of the manifest's splits."""
    images = ImageList()
    folder = open_folder(root)
    for split in manifest.splits:
        store = open_split(folder, split)
        for number, row in enumerate(store.rows(range(len(store)))):
            for path, data in zip(row.images, store.images(number, len(row.images)), strict=True):
                images.add(path, data)
    return images.tree()
