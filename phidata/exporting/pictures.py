"""The images of an export: linked or copied to where its records say that they are."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Literal

from phidata.errors import DataError
from phidata.loading import ConversationData
from phidata.storage.folder import image_file
from phidata.storage.image_list import ImageList

How = Literal["link", "copy", "reference"]


class Pictures:
    """Puts each image once below a folder, under the path by which rows name it.

    A file is linked, or copied where it can not be or shall not; what lies in shards is written out.
    """

    def __init__(self, root: Path, how: How) -> None:
        self._root = root
        self._how = how
        self._files: set[str] = set()
        self._written = ImageList()
        self.num_linked = 0
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._files) + len(self._written)

    def add(self, rows: ConversationData, number: int) -> None:
        """Put the images of one row there. Raises DataError, which names the row, for one that is missing
        or whose path no file can have."""
        if self._how == "reference":
            return
        try:
            self._add_images(rows, number)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise DataError(f"{rows.where(number)}: an image path is too long to be a file; shorten it") from error

    def _add_images(self, rows: ConversationData, number: int) -> None:
        paths = rows[number].images
        if rows.image_root is not None:
            for path in paths:
                self._add_file(rows, number, path)
            return
        for path, data in zip(paths, rows.image_bytes(number), strict=True):
            self._add_bytes(rows, number, path, data)

    def _add_file(self, rows: ConversationData, number: int, path: str) -> None:
        if path in self._files:
            return
        source, target = rows.image_path(path), self._target(rows, number, path)
        if not source.is_file():
            raise DataError(f"{rows.where(number)}: image {path!r} is missing in {rows.image_root}")
        if self._how == "link" and _link(source, target):
            self.num_linked += 1
        else:
            shutil.copyfile(source, target)
        self._files.add(path)
        self.num_bytes += target.stat().st_size

    def _add_bytes(self, rows: ConversationData, number: int, path: str, data: bytes) -> None:
        try:
            is_new = self._written.add(path, data)
        except DataError as error:
            raise DataError(f"{rows.where(number)}: {error}") from error
        if is_new:
            self._target(rows, number, path).write_bytes(data)
            self.num_bytes += len(data)

    def _target(self, rows: ConversationData, number: int, path: str) -> Path:
        target = image_file(self._root, path)
        if target.exists():
            raise DataError(f"{rows.where(number)}: image {path!r} is called like a file of the export; rename it")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _link(source: Path, target: Path) -> bool:
    """Make a hard link; False where the file system can not."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        return False
    return True
