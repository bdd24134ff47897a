"""The data folders that a command starts from: their names, their splits in order, and what identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from phidata.errors import UsageError
from phidata.loading import ConversationData, load, open_folder
from phidata.storage.folder import MANIFEST, DataFolder
from phidata.storage.manifest import Identity, read_manifest
from phidata.storage.shape import Shape

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Input:
    """One data folder, opened. `label` is its name, made different from those of the folders beside it."""

    root: Path
    name: str
    label: str
    shape: Shape
    splits: dict[str, ConversationData]
    sha256: str

    @property
    def num_rows(self) -> int:
        return sum(map(len, self.splits.values()))

    def split(self, name: str) -> ConversationData:
        """The rows of one split. Raises UsageError naming the splits there are."""
        if name not in self.splits:
            found = ", ".join(repr(split) for split in self.splits)
            raise UsageError(f"no split {name!r} in {self.root}; it has {found}")
        return self.splits[name]

    @property
    def identity(self) -> Identity:
        """What the manifest of the new folder says of this one."""
        return {"kind": "folder", "name": self.name, "rows": self.num_rows, "sha256": self.sha256}


def open_inputs(paths: Sequence[str | Path]) -> tuple[Input, ...]:
    """Open data folders of any shape. Raises UsageError and DataError as `phidata.load` does."""
    opened: list[Input] = []
    for path in paths:
        label_taken = {before.label for before in opened}
        opened.append(_open(open_folder(path), label_taken))
    return tuple(opened)


def check_output(out: Path, inputs: Sequence[Input]) -> None:
    """Raise UsageError when the new folder would lie in one that is read, or the other way round, and when it
    holds anything."""
    new = out.resolve()
    for folder in (opened.root for opened in inputs):
        old = folder.resolve()
        if new == old:
            raise UsageError(f"{out} is read and can not be written too; choose a new folder")
        if old in new.parents or new in old.parents:
            raise UsageError(f"of {out} and {folder} one lies in the other; choose a folder beside {folder}")
    if out.is_dir() and (held := sorted(entry.name for entry in out.iterdir())):
        raise UsageError(f"{out} holds other files ({', '.join(held[:3])}); choose a new or empty folder")


def _open(folder: DataFolder, taken: set[str]) -> Input:
    manifest = read_manifest(folder.root) if (folder.root / MANIFEST).is_file() else None
    name = manifest.name if manifest else _name_by_files(folder)
    order = list(manifest.splits) if manifest else []
    splits = sorted(folder.files, key=lambda split: order.index(split) if split in order else len(order))
    files = [folder.root / MANIFEST] if manifest else [file for split in splits for file in folder.files[split]]
    return Input(
        root=folder.root,
        name=name,
        label=next(label for label in _labels(name) if label not in taken),
        shape=folder.shape,
        splits={split: load(folder.root, split) for split in splits},
        sha256=_sha256(files),
    )


def _labels(name: str) -> Iterator[str]:
    """The name, and what it is called when another folder has the same: `birds`, `birds-2`, `birds-3`, …"""
    yield name
    for number in count(2):
        yield f"{name}-{number}"


def _name_by_files(folder: DataFolder) -> str:
    if folder.shape == "images-jsonl":
        return next(iter(folder.splits.values())).stem.rpartition("_")[0]
    return "data"


def _sha256(files: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                total.update(chunk)
    return total.hexdigest()
