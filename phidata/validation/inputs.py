"""What is to be checked: the files behind the paths that were given, and where the images of each lie."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from phidata.errors import UsageError
from phidata.storage.folder import IMAGES, open_folder

Media = Literal["none", "exists", "header", "decode"]
MEDIA: tuple[Media, ...] = get_args(Media)


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """One jsonl file and the folder below which its image paths start, both as a message names them."""

    path: str
    images: str


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Files over which ids are unique: all splits of a data folder, or one file given by itself."""

    files: tuple[DataFile, ...]


def find_data(paths: Iterable[str | Path], images: str | Path | None) -> list[DataSet]:
    """The data sets behind the paths, in order; a file that is named twice is taken once.

    Raises UsageError for a path that is neither a jsonl file nor a data folder or can not be read, DataError for a
    data folder whose conversion has not finished.
    """
    if images is not None and not Path(images).is_dir():
        raise UsageError(f"no image folder {images}; give --images the folder below which the image paths start")
    data_sets: list[DataSet] = []
    taken: set[Path] = set()
    for path in map(Path, paths):
        found = _files(path)
        new = [file for file in found if file.resolve() not in taken]
        taken.update(file.resolve() for file in new)
        roots = [Path(images) if images is not None else _image_root(file) for file in new]
        files = tuple(DataFile(path=str(file), images=str(root)) for file, root in zip(new, roots, strict=True))
        if files:
            data_sets.append(DataSet(files=files))
    return data_sets


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = list(open_folder(path).splits.values())
    elif path.is_file():
        files = [path]
    elif path.exists():
        raise UsageError(f"{path} is not a regular file; write its rows to a jsonl file first")
    else:
        raise UsageError(f"no file or folder {path}; give a jsonl file or a data folder")
    for file in files:
        if not os.access(file, os.R_OK):
            raise UsageError(f"{file} can not be read; change its permissions")
    return files


def _image_root(file: Path) -> Path:
    beside = file.parent / IMAGES
    return beside if beside.is_dir() else file.parent
