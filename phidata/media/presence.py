"""Whether an image is there, under exactly the name that a row gives it."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from phidata.diagnostics import image_rules
from phidata.diagnostics.excerpt import quoted
from phidata.media.defect import Defect


class ImageFolder:
    """The folder below which the image paths of a file start.

    Its subfolders are listed only when a name is not found as it is written, and on file systems that ignore case.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._ignores_case: bool | None = None
        self._listing = lru_cache(maxsize=8)(_listing)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def defect(self, name: str) -> Defect | None:
        """Why the image that rows call `name` can not be opened by that name everywhere; None when it can."""
        try:
            status = os.stat(self.path(name))  # noqa: PTH116 - a Path would cost more than the call itself
        except (FileNotFoundError, NotADirectoryError):
            return self._absent(name)
        except (OSError, ValueError) as error:
            return unreadable(error)
        if stat.S_ISDIR(status.st_mode):
            return Defect(image_rules.IMAGE_UNREADABLE, "is a folder")
        if not stat.S_ISREG(status.st_mode):
            return Defect(image_rules.IMAGE_UNREADABLE, "is not a regular file")
        if status.st_size == 0:
            return Defect(image_rules.IMAGE_EMPTY, "is an empty file")
        return self._spelt_otherwise(name)

    def _absent(self, name: str) -> Defect:
        if on_disk := self._name_on_disk(name):
            return Defect(image_rules.LETTER_CASE, f"is called {quoted(on_disk)} on disk")
        blank = "; the path begins or ends with a blank" if name != name.strip() else ""
        folder = name.rpartition("/")[0]
        if folder and not os.path.isdir(self.path(folder)):  # noqa: PTH112
            return Defect(image_rules.IMAGE_MISSING, f"is missing, with its folder {quoted(self.path(folder))}{blank}")
        return Defect(image_rules.IMAGE_MISSING, f"is missing in {quoted(self.root)}{blank}")

    def _spelt_otherwise(self, name: str) -> Defect | None:
        """The file system found the file; on one that ignores case that does not say that it is called so."""
        swapped = name.swapcase()
        if self._ignores_case is None and swapped != name:
            self._ignores_case = _same_file(self.path(name), self.path(swapped))
        if not self._ignores_case:
            return None
        on_disk = self._name_on_disk(name)
        if on_disk is None or on_disk == name:
            return None
        return Defect(image_rules.LETTER_CASE, f"is called {quoted(on_disk)} on disk")

    def _name_on_disk(self, name: str) -> str | None:
        """The path as its folders list it, when that differs from `name` by no more than case and Unicode form."""
        found: list[str] = []
        for part in name.split("/"):
            names = self._listing("/".join((self.root, *found)))
            if (actual := names.get(part) or names.get(_folded(part))) is None:
                return None
            found.append(actual)
        return "/".join(found)


def unreadable(error: Exception) -> Defect:
    """The defect of a file that the system does not let us read."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return Defect(image_rules.IMAGE_UNREADABLE, f"can not be read: {reason}")


def _listing(folder: str) -> dict[str, str]:
    """The names in a folder, each under itself and under its folded form; empty when it can not be listed."""
    try:
        names: Iterable[str] = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return {}
    names = sorted(names)
    return {_folded(name): name for name in names} | {name: name for name in names}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _same_file(first: str, second: str) -> bool:
    try:
        return os.path.samefile(first, second)  # noqa: PTH121
    except OSError:
        return False
