"""What is to be checked: the files behind the paths that were given, and where the images of each lie."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec

from phidata.errors import DataError, UsageError
from phidata.storage.folder import CARD, FAILURES, IMAGES, MANIFEST, open_folder
from phidata.storage.ledger import LEDGER
from phidata.storage.shape import SUFFIXES

Media = Literal["none", "exists", "header", "decode"]
_RECORDS = {
    CARD: "the card",
    MANIFEST: "the manifest",
    LEDGER: "the ledger",
    FAILURES: "the list of failed rows",
}  # what lies in a data folder beside its data
MEDIA: tuple[Media, ...] = get_args(Media)


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One file with rows, as a message names it; and how many rows the manifest of its folder promises.

    `images` is the folder below which the image paths of a jsonl file start, named likewise; None for a shard.
    """

    path: str
    images: str | None
    num_rows: int | None = None

    @property
    def is_shard(self) -> bool:
        """Whether the file holds its images itself."""
        return self.images is None


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Files over which ids are unique: all splits of a data folder, or one file given by itself."""

    files: tuple[DataFile, ...]


class _File(msgspec.Struct):
    name: str
    rows: int


class _Split(msgspec.Struct):
    files: list[_File]


class _Manifest(msgspec.Struct):
    """What is read here of a manifest."""

    splits: dict[str, _Split]


def find_data(paths: Iterable[str | Path], images: str | Path | None) -> list[DataSet]:
    """The data sets behind the paths, in order; a file that is named twice is taken once.

    Raises UsageError for a path that is neither a file nor a data folder or can not be read, and for an image folder
    beside shards; DataError for a data folder whose conversion has not finished or whose manifest is none.
    """
    if images is not None and not Path(images).is_dir():
        raise UsageError(f"no image folder {images}; give --images the folder below which the image paths start")
    data_sets: list[DataSet] = []
    taken: set[Path] = set()
    for path in map(Path, paths):
        num_rows = {path / name: rows for name, rows in _promised_rows(path).items()}
        new = {file.resolve(): file for file in _files(path) if file.resolve() not in taken}
        taken.update(new)
        files = tuple(
            DataFile(path=str(file), images=_image_root(file, images), num_rows=num_rows.get(file))
            for file in new.values()
        )
        if files:
            data_sets.append(DataSet(files=files))
    return data_sets


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for split in open_folder(path).files.values() for file in split]
    elif path.is_file():
        if path.name in _RECORDS and (path.parent / MANIFEST).is_file():
            raise UsageError(
                f"{path} is {_RECORDS[path.name]} of a data folder, not rows; give {path.parent} or its data"
            )
        files = [path]
    elif path.exists():
        raise UsageError(f"{path} is not a regular file; write its rows to a jsonl file first")
    else:
        raise UsageError(f"no file or folder {path}; give a jsonl file or a data folder")
    for file in files:
        if not os.access(file, os.R_OK):
            raise UsageError(f"{file} can not be read; change its permissions")
    return files


def _promised_rows(folder: Path) -> dict[str, int]:
    """How many rows each file of a data folder has by its manifest; empty without one."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    try:
        splits = msgspec.json.decode(manifest.read_bytes(), type=_Manifest).splits
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{manifest} is not the manifest of a conversion ({error}); convert again, or remove it"
        ) from error
    return {file.name: file.rows for split in splits.values() for file in split.files}


def _image_root(file: Path, images: str | Path | None) -> str | None:
    if file.suffix.removeprefix(".") in SUFFIXES.values():
        if images is not None:
            raise UsageError(f"{file} holds its images itself; leave out the image folder {images}")
        return None
    if images is not None:
        return str(images)
    beside = file.parent / IMAGES
    return str(beside if beside.is_dir() else file.parent)
