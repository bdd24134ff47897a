"""The data folders that a command starts from: their names, their splits in order, and what identifies them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from phidata.errors import UsageError
from phidata.loading import ConversationData, open_data, open_folder
from phidata.records import Conversation
from phidata.storage.folder import MANIFEST, DataFolder
from phidata.storage.hashing import sha256_of
from phidata.storage.manifest import Identity
from phidata.storage.shape import Shape


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


def each_row(splits: Mapping[str, ConversationData]) -> Iterator[tuple[ConversationData, int, Conversation]]:
    """The rows of all splits, each behind its split and its number in it."""
    for data in splits.values():
        for number, row in enumerate(data):
            yield data, number, row


def _open(folder: DataFolder, taken: set[str]) -> Input:
    manifest = folder.root / MANIFEST
    files = [manifest] if manifest.is_file() else [file for files in folder.files.values() for file in files]
    return Input(
        root=folder.root,
        name=folder.name,
        label=next(label for label in _labels(folder.name) if label not in taken),
        shape=folder.shape,
        splits={split: open_data(folder.root, split) for split in folder.files},
        sha256=sha256_of(*files),
    )


def _labels(name: str) -> Iterator[str]:
    """The name, and what it is called when another folder has the same: `birds`, `birds-2`, `birds-3`, …"""
    yield name
    for number in count(2):
        yield f"{name}-{number}"
