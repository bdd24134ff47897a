"""Writes a split of the shape images-jsonl: each image a file below `images/`, and one line of JSON a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.folder import IMAGES, image_file
from phidata.storage.manifest import DataFile
from phidata.storage.sink import new_file
from phidata.storage.tree import files_below
from phidata.storage.unnamed import UnnamedFile


class ImagesJsonlWriter:
    """Images take their names at once, the jsonl file takes its own when the split is finished.

    An image that is there already is left as it is, and has to be the same.
    """

    def __init__(self, root: Path, *, name: str, split: str) -> None:
        self._path = root / f"{name}_{split}.jsonl"
        self._images = root / IMAGES
        self._images.mkdir(parents=True, exist_ok=True)
        self._file = UnnamedFile(root)
        self._num_rows = 0

    def add(self, row: Conversation, images: Sequence[bytes]) -> None:
        for path, data in zip(row.images, images, strict=True):
            try:
                self._write_image(path, data)
            except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
                raise DataError(
                    f"row {row.id!r}: image {path!r} can not lie beside {self._in_the_way(path)!r}, one is a folder of "
                    "the other; give one of them another path, or write another shape"
                ) from error
        self._file.write(msgspec.json.encode(row) + b"\n")
        self._num_rows += 1

    def finish(self) -> tuple[DataFile, ...]:
        self._file.take_name(self._path)
        file = self._file
        return (DataFile(name=self._path.name, rows=self._num_rows, bytes=file.num_bytes, sha256=file.sha256),)

    def discard(self) -> None:
        self._file.discard()

    def _write_image(self, path: str, data: bytes) -> None:
        target = image_file(self._images, path)
        if target.is_file():
            if target.read_bytes() != data:
                raise DataError(f"two different images are called {path!r}; give one of them another path")
            return
        with new_file(target, durable=False) as file:
            file.write(data)

    def _in_the_way(self, path: str) -> str:
        """The image for which there can be no file of a path: below it, or above it."""
        place = image_file(self._images, path)
        if place.is_dir():
            return "/".join((path, *min(files_below(place))))
        return next(parent for parent in place.parents if parent.is_file()).relative_to(self._images).as_posix()
