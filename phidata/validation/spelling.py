"""How an image path would have to be spelt, where that is known for certain."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from functools import lru_cache


def as_on_disk(root: str, name: str) -> str | None:
    """The path of the one file that a path can mean: itself where it is there, else the only one that differs from it
    by no more than letter case and Unicode form. None when there is no such file, or when there are several.
    """
    found: list[str] = []
    for part in name.split("/"):
        entries = _entries("/".join((root, *found)))
        candidates = (part,) if part in entries.get(_folded(part), ()) else entries.get(_folded(part), ())
        if len(candidates) != 1:
            return None
        found += candidates
    path = "/".join(found)
    return path if os.path.isfile(f"{root}/{path}") else None  # noqa: PTH113


def plain_form(path: str) -> str:
    """The path without '.' as a name and without doubled slashes: the same file by another spelling."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def below(root: str, path: str) -> str | None:
    """An absolute path as one that starts in the image folder; None when it does not lie there."""
    folder = os.path.abspath(root)  # noqa: PTH100 - links are not followed: the path may name them
    inside = os.path.normpath(path)
    return inside[len(folder) + 1 :] if inside.startswith(f"{folder}/") else None


def without_parents(path: str) -> str | None:
    """The path with each '..' and the name before it taken away; None when it leads out of the folder."""
    plain = posixpath.normpath(path)
    return None if plain.startswith(("..", "/")) else plain


@lru_cache(maxsize=64)
def _entries(folder: str) -> dict[str, tuple[str, ...]]:
    """The names in a folder by their folded form."""
    names: dict[str, tuple[str, ...]] = {}
    try:
        for name in os.listdir(folder):  # noqa: PTH208
            names[_folded(name)] = (*names.get(_folded(name), ()), name)
    except OSError:
        return {}
    return names


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
