"""What a repair means for the data folder: its manifest, ledger and card say again what is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path

from msgspec.structs import replace

from phidata.errors import DataError, PhidataError, UsageError
from phidata.repair.outcome import RepairedFile
from phidata.storage.card import data_card
from phidata.storage.folder import CARD, MANIFEST, open_folder
from phidata.storage.image_list import ImageList
from phidata.storage.ledger import LEDGER, OUTCOMES, LedgerLine, read_ledger, sums, write_ledger
from phidata.storage.manifest import DataFile, ImageTree, Manifest, SplitLedger, read_manifest
from phidata.storage.sink import new_file
from phidata.storage.stores import open_jsonl

COPY = "is the copy of another row, deleted by phidata validate --fix"
OPTION = "fix"  # where the manifest says what was repaired


@dataclass(frozen=True, kw_only=True)
class Record:
    """What one folder will say of its repairs. Ledger and card are None where they stay as they are, and so is the
    manifest where nothing can be said in it."""

    root: Path
    manifest: Manifest | None = None
    ledger: tuple[LedgerLine, ...] | None = None
    card: bytes | None = None
    remarks: tuple[str, ...] = ()

    def write(self) -> None:
        """Write it, the manifest last: what is written before it is not written twice when this is cut short."""
        if self.ledger is not None:
            write_ledger(self.root, self.ledger)
        manifest = None if self.manifest is None else self.manifest.to_json()
        for name, content in ((CARD, self.card), (MANIFEST, manifest)):
            if content is not None:
                with new_file(self.root / name) as file:
                    file.write(content)


def plan_records(files: Mapping[Path, RepairedFile]) -> list[Record]:
    """What the folder of each file will say, by where the repaired files lie until they take their names.

    A manifest that has the sha256 of the repaired file already is one that an interrupted repair has written, and
    counts nothing twice. Raises DataError when a ledger can not be read.
    """
    by_folder: dict[Path, dict[Path, RepairedFile]] = {}
    for place, file in files.items():
        by_folder.setdefault(Path(file.path).parent, {})[place] = file
    return [_plan(root, repaired) for root, repaired in by_folder.items() if (root / MANIFEST).is_file()]


def _plan(root: Path, repaired: Mapping[Path, RepairedFile]) -> Record:
    try:
        old = read_manifest(root)
    except UsageError as error:
        return Record(root=root, remarks=(f"the manifest was not brought up to date: {error}",))
    new, counted, remarks = old, set[str](), []
    for file in repaired.values():
        name = Path(file.path).name
        split = next((name_ for name_, ledger in new.splits.items() if any(f.name == name for f in ledger.files)), None)
        if split is None:
            remarks.append(f"{root / MANIFEST} does not name {name}, and says nothing of its repairs")
            continue
        before = next(entry for entry in new.splits[split].files if entry.name == name)
        if before.sha256 == file.sha256:
            remarks.append(f"{file.path} is again what its manifest says")
            continue
        if before.sha256 != file.sha256_before:
            said = "was not what the manifest says before it was repaired; the manifest has its new sha256"
            remarks.append(f"{file.path} {said}")
        if before.rows != file.rows:  # what was deleted may never have been a row of this data set
            said = f"had {file.rows:,} rows and its manifest says {before.rows:,}, which is left as it is"
            remarks.append(f"{file.path} {said}")
            new = _with_file(new, split, before, replace_fields(file, copies=0, added_rows=0))
            continue
        new = _with_file(new, split, before, file)
        if file.copies or file.added_rows:
            counted.add(split)
    if new.shape == "images-jsonl" and any(file.paths_changed for file in repaired.values()):
        try:
            new = replace(new, images=_image_tree(root, new, repaired))
        except PhidataError as error:
            remarks.append(f"the manifest keeps its old list of images, since one can not be read: {error}")
    return Record(
        root=root,
        manifest=new,
        ledger=_ledger(root, old, new, counted),
        card=data_card(new).encode() if _has_card(root, old) else None,
        remarks=tuple(remarks),
    )


def _has_card(root: Path, manifest: Manifest) -> bool:
    """Whether the folder has the card that phidata writes, and not one that somebody has changed."""
    path = root / CARD
    return path.is_file() and path.read_bytes() == data_card(manifest).encode()


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


def _ledger(root: Path, old: Manifest, new: Manifest, splits: Collection[str]) -> tuple[LedgerLine, ...] | None:
    """The ledger with the repairs of some splits, where it does not have them yet."""
    if not splits or not (root / LEDGER).is_file():
        return None
    lines = list(read_ledger(root))
    counts = sums(lines)
    for split in splits:
        before, after = old.splits[split], new.splits[split]
        if all(counts[split, outcome] == getattr(after, outcome) for outcome in OUTCOMES):
            continue  # an interrupted repair has written it
        delta, copies = after.written - before.written, after.skipped - before.skipped
        for number, line in enumerate(lines):
            if line.split == split and line.outcome == "written" and line.count + delta >= 0:
                lines[number] = replace(line, count=line.count + delta)
                break
        if copies:
            lines.append(LedgerLine(split=split, outcome="skipped", count=copies, reason=COPY))
    return tuple(lines)


def _image_tree(root: Path, manifest: Manifest, repaired: Mapping[Path, RepairedFile]) -> ImageTree:
    """The list of images as the rows will name them, in the order of the manifest's splits."""
    places = {Path(file.path): place for place, file in repaired.items()}
    images = ImageList()
    folder = open_folder(root)
    for split in manifest.splits:
        [path] = folder.split(split)
        place = places.get(path, path)
        store = open_jsonl(place, folder.images)
        try:
            for number, row in enumerate(store.rows(range(len(store)))):
                for name, data in zip(row.images, store.images(number, len(row.images)), strict=True):
                    images.add(name, data)
        except DataError as error:
            raise DataError(str(error).replace(str(place), str(path))) from error
    return images.tree()
