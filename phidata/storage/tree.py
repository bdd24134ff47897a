"""The files below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

Parts = tuple[str, ...]


def files_below(folder: Path) -> list[Parts]:
    """List every file below a folder as the parts of its path, sorted by them.

    Links are followed, also to folders; a link that leads nowhere counts as a file, so that it is missed by whoever
    opens it.
    """
    return list(_walk(folder, (), frozenset()))


def walk_files(folder: Path) -> Iterator[Parts]:
    """Every file below a folder, one by one and in no order, however many there are; links are not followed."""
    pending: list[Parts] = [()]
    while pending:
        parts = pending.pop()
        with os.scandir(folder.joinpath(*parts)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((*parts, entry.name))
                else:
                    yield (*parts, entry.name)


def _walk(folder: Path, parts: Parts, above: frozenset[tuple[int, int]]) -> Iterator[Parts]:
    stat = folder.stat()
    here = (stat.st_dev, stat.st_ino)
    if here in above:
        return  # a link back to a folder that this one lies in
    with os.scandir(folder) as entries:
        names = sorted((entry.name, _is_folder(entry)) for entry in entries)
    for name, is_folder in names:
        if is_folder:
            yield from _walk(folder / name, (*parts, name), above | {here})
        else:
            yield (*parts, name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where nobody may look
        return False
