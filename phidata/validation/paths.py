"""The rule for image paths: the schema's pattern decides, and what breaks it is told apart here."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from phidata.diagnostics import Rule, image_rules
from phidata.diagnostics.excerpt import quoted
from phidata.schema import image_path_pattern
from phidata.validation.block import has_odd_names

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_CONTROL = re.compile(r"[\x00-\x1f]")


@lru_cache(maxsize=1)
def _matches() -> Callable[[str], Any]:
    return re.compile(image_path_pattern()).search


def is_image_path(path: str) -> bool:
    """Whether the schema accepts the path."""
    return bool(_matches()(path))


def are_image_paths(paths: Sequence[str], *, escaped: bool) -> bool:
    """Whether the schema accepts all these paths, found out in one go where they are ordinary.

    `escaped` says whether the JSON they were read from had any backslash: without one no path can hold a backslash or
    a control character.
    """
    joined = f"/{'/'.join(paths)}/"
    if ":" not in joined and not has_odd_names(joined) and not (escaped and not _plain(joined)):
        return True
    return all(map(_matches(), paths))


def path_fault(path: str) -> tuple[Rule, str]:
    """Which rule a path breaks that the schema does not accept, and the message."""
    shown = f"image path {quoted(path)}"
    if control := _CONTROL.search(path):
        return image_rules.PATH_CHARACTER, f"{shown} holds the control character U+{ord(control[0]):04X}"
    if scheme := _SCHEME.match(path):
        if len(scheme[1]) == 1:
            return image_rules.DRIVE_LETTER, f"{shown} begins with the drive {scheme[0]}"
        return image_rules.URL, f"{shown} begins with {quoted(scheme[0])}, like a URL"
    if "\\" in path:
        return image_rules.BACKSLASH, f"{shown} holds a backslash"
    if path.startswith("/"):
        return image_rules.ABSOLUTE_PATH, f"{shown} is absolute"
    if ".." in path.split("/"):
        return image_rules.PARENT_FOLDER, f"{shown} climbs out of a folder by '..'"
    return image_rules.PATH_FORM, _form_message(path, shown)


def _plain(text: str) -> bool:
    return "\\" not in text and text.isprintable()


def _form_message(path: str, shown: str) -> str:
    if not path:
        return "an image path is empty"
    if path.endswith("/"):
        return f"{shown} ends with a slash"
    return f"{shown} has two slashes in a row" if "//" in path else f"{shown} has '.' as a name"
