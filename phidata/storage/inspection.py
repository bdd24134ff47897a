"""Reads all of a data folder and says whether it is what its manifest and its ledger say."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from phidata.console import Progress, progress
from phidata.errors import DataError
from phidata.storage.card import data_card
from phidata.storage.folder import CARD, FAILURES, IMAGES, JOURNAL, MANIFEST, open_folder
from phidata.storage.hashing import sha256_of
from phidata.storage.image_list import ImageList
from phidata.storage.ledger import LEDGER, OUTCOMES, read_ledger, sums
from phidata.storage.manifest import DataFile, Manifest, RowLedger, SplitLedger, read_manifest
from phidata.storage.rows import RowStore
from phidata.storage.splits import companions
from phidata.storage.stores import open_file
from phidata.storage.tree import files_below

MAX_NAMED = 20  # images that are not there, and files that nobody accounts for, are named one by one up to so many

_ALSO_THERE = frozenset({".gitattributes", ".gitignore", "LICENSE"})  # what a folder may have besides
_FOLDERS_ALSO_THERE = frozenset({".cache", ".git"})  # in the first the hub's client keeps the state of an upload


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it has to be: `file` is its path below the folder, `message` a sentence with it."""

    severity: Literal["error", "warning"]
    file: str
    message: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, and what was found; an image that several rows show counts once."""

    folder: str
    shape: str
    num_files: int
    num_rows: int
    num_images: int
    num_bytes: int
    mismatches: tuple[Mismatch, ...]

    @property
    def ok(self) -> bool:
        """Whether the folder is whole; a file too many does not count against it."""
        return not any(mismatch.severity == "error" for mismatch in self.mismatches)

    def to_json(self) -> bytes:
        """All of it, and `ok`, as one line of JSON."""
        return msgspec.json.encode({"ok": self.ok, **msgspec.to_builtins(self)}) + b"\n"


class Inspection(NamedTuple):
    """What was found, and which files of the folder belong to the data set."""

    verification: Verification
    files: tuple[str, ...]


def inspect_folder(root: Path) -> Inspection:
    """Read all of a data folder of any shape, with progress on standard error.

    Raises UsageError when there is no such folder, or no manifest in it, DataError when a conversion into it has not
    finished.
    """
    if not root.is_dir():
        open_folder(root)  # says why not
    if (root / JOURNAL).exists():
        raise DataError(
            f"{root} is an unfinished conversion; run the same `phidata convert` command again to finish it"
        )
    return _Check(root, read_manifest(root)).run()


class _Check:
    """One reading of a folder."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self._root = root
        self._manifest = manifest
        self._has_image_files = manifest.shape == "images-jsonl"
        self._found: list[Mismatch] = []
        self._images = ImageList()
        self._known = {MANIFEST, CARD, LEDGER, FAILURES, *_ALSO_THERE}
        self._num_files = self._num_rows = self._num_bytes = 0
        self._num_unread = 0  # rows and files without which the list of images is not whole
        self._knows_images = True  # the rows of all files were read

    def run(self) -> Inspection:
        files = [file for split in self._manifest.splits.values() for file in split.files]
        with progress(sum(file.rows for file in files), "verify") as bar:
            for file in files:
                self._check_file(file, bar)
        self._check_images()
        self._check_companions()
        self._check_card()
        self._check_sums()
        self._check_ledger()
        own = self._check_strangers()
        verification = Verification(
            folder=str(self._root),
            shape=self._manifest.shape,
            num_files=self._num_files,
            num_rows=self._num_rows,
            num_images=len(self._images),
            num_bytes=self._num_bytes,
            mismatches=tuple(self._found),
        )
        return Inspection(verification, own)

    def _check_file(self, file: DataFile, bar: Progress) -> None:
        self._known.add(file.name)
        path = self._root / file.name
        if not path.is_file():
            self._miss(file.name, f"{path} is missing; copy it again")
            return
        num_bytes = path.stat().st_size
        if num_bytes != file.bytes:
            self._error(file.name, f"{path} has {num_bytes} bytes and its manifest says {file.bytes}; copy it again")
        elif sha256_of(path) != file.sha256:
            self._error(file.name, f"{path} was changed: its sha256 is not that of the manifest; copy it again")
        self._count_file(num_bytes)
        try:
            self._read_rows(file, open_file(path, images=self._image_root()), bar)
        except DataError as error:
            self._miss(file.name, str(error))

    def _read_rows(self, file: DataFile, store: RowStore, bar: Progress) -> None:
        if len(store) != file.rows:
            self._error(file.name, f"{store.path} has {len(store)} rows and its manifest says {file.rows}")
        self._num_rows += len(store)
        for number, row in enumerate(store.rows(range(len(store)))):
            bar.update()
            if self._has_image_files:
                self._known.update(f"{IMAGES}/{path}" for path in row.images)
            try:
                encoded = store.images(number, len(row.images))
                for path, data in zip(row.images, encoded, strict=True):
                    if self._images.add(path, data) and self._has_image_files:
                        self._count_file(len(data))
            except DataError as error:
                self._num_unread += 1
                if self._num_unread <= MAX_NAMED:
                    self._error(file.name, f"{store.place(number)}: row {row.id!r}: {error}")

    def _check_images(self) -> None:
        if self._num_unread > MAX_NAMED:
            self._error(IMAGES, f"{self._num_unread - MAX_NAMED} more rows or files can not be read")
        if self._num_unread:
            return
        found, expected = self._images.tree(), self._manifest.images
        if found != expected:
            self._error(
                IMAGES if self._has_image_files else MANIFEST,
                f"{self._root} has {found.num} images of {found.bytes} bytes with sha256 {found.sha256[:12]}…, its "
                f"manifest says {expected.num} of {expected.bytes} bytes with {expected.sha256[:12]}…; copy it again",
            )

    def _check_companions(self) -> None:
        for name, content in companions(self._manifest).items():
            self._known.add(name)
            path = self._root / name
            if not path.is_file() or path.read_bytes() != content:
                state = "was changed" if path.is_file() else "is missing"
                self._error(name, f"{path} {state}, without which `datasets.load_from_disk` fails; copy it again")

    def _check_card(self) -> None:
        """A card is there for people, who may write into it; that it was changed is said and no more."""
        path = self._root / CARD
        if not path.is_file():
            self._error(CARD, f"{path} is missing, which tells the hub which files are which split; copy it again")
        elif path.read_bytes() != data_card(self._manifest).encode():
            self._warn(
                CARD, f"{path} is not the card that phidata writes for this manifest; keep it if somebody has edited it"
            )

    def _check_sums(self) -> None:
        ledgers: dict[str, SplitLedger | RowLedger] = {**self._manifest.splits, "all rows": self._manifest.rows}
        for name, rows in ledgers.items():
            if rows.rows_in != rows.written + rows.skipped + rows.failed:
                self._error(
                    MANIFEST,
                    f"{self._root / MANIFEST} does not add up for {name}: {rows.rows_in} rows in are not "
                    f"{rows.written} written + {rows.skipped} skipped + {rows.failed} failed; make the folder again",
                )
        for name, split in self._manifest.splits.items():
            if (num_rows := sum(file.rows for file in split.files)) != split.written:
                self._error(
                    MANIFEST,
                    f"{self._root / MANIFEST} says that {split.written} rows of {name} are written and {num_rows} are "
                    "in its files; make the folder again",
                )

    def _check_ledger(self) -> None:
        try:
            counts = sums(read_ledger(self._root))
            self._check_failures()
        except DataError as error:
            self._error(LEDGER, str(error))
            return
        for outcome in OUTCOMES:
            expected = {name: getattr(split, outcome) for name, split in self._manifest.splits.items()}
            expected["all rows"] = getattr(self._manifest.rows, outcome)
            found = {name: counts[name, outcome] for name in self._manifest.splits}
            found["all rows"] = sum(count for (_, other), count in counts.items() if other == outcome)
            for name, count in found.items():
                if count != expected[name]:
                    self._error(
                        LEDGER,
                        f"{self._root / LEDGER} has {count} rows {outcome} of {name} and the manifest says "
                        f"{expected[name]}; make the folder again",
                    )

    def _check_failures(self) -> None:
        """A conversion lists the rows of a source's files that failed; a failed row of anything else has no file."""
        path = self._root / FAILURES
        if path.is_file():
            return
        num = sum(line.count for line in read_ledger(self._root) if line.outcome == "failed" and line.file is not None)
        if num:
            self._error(FAILURES, f"{path} is missing, which names the {num} rows that failed; copy it again")

    def _check_strangers(self) -> tuple[str, ...]:
        """Warn about files of which neither manifest nor rows know; return the others. Images are none of these while
        there are rows that were not read, which may show them."""
        names = ["/".join(parts) for parts in files_below(self._root) if parts[0] not in _FOLDERS_ALSO_THERE]
        strangers = [name for name in names if name not in self._known]
        if self._has_image_files and not self._knows_images:
            strangers = [name for name in strangers if not name.startswith(f"{IMAGES}/")]
        for name in strangers[:MAX_NAMED]:
            self._warn(name, f"{self._root / name} is no part of the data set; remove it if nobody needs it")
        if len(strangers) > MAX_NAMED:
            self._warn(strangers[MAX_NAMED], f"{len(strangers) - MAX_NAMED} more files are no part of the data set")
        return tuple(name for name in names if name in self._known)

    def _image_root(self) -> Path | None:
        return self._root / IMAGES if self._has_image_files else None

    def _count_file(self, num_bytes: int) -> None:
        self._num_files += 1
        self._num_bytes += num_bytes

    def _miss(self, file: str, message: str) -> None:
        """A file whose rows were not read, or not all of them."""
        self._num_unread += 1
        self._knows_images = False
        self._error(file, message)

    def _error(self, file: str, message: str) -> None:
        self._found.append(Mismatch(severity="error", file=file, message=message))

    def _warn(self, file: str, message: str) -> None:
        self._found.append(Mismatch(severity="warning", file=file, message=message))
