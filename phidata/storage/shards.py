"""Divides a split into shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from phidata.records import Conversation
from phidata.storage.manifest import DataFile
from phidata.storage.shape import SUFFIXES, Shape
from phidata.storage.shard_names import remove_shards, shard_folder, shard_name
from phidata.storage.unnamed import UnnamedFile


class ShardFile(Protocol):
    """One shard being written."""

    file: UnnamedFile

    def add(self, row: Conversation, line: bytes, images: Sequence[bytes]) -> None:
        """Write a row, which is `line` as JSON, and its images."""

    def close(self) -> None:
        """Write what is left."""

    def discard(self) -> None:
        """Remove the file."""


class ShardedWriter:
    """Divides the rows of one split among shards, by their content alone; shards are named when all are written."""

    def __init__(
        self, root: Path, shape: Shape, split: str, *, shard_bytes: int, begin: Callable[[Path], ShardFile]
    ) -> None:
        self._root, self._split, self._suffix = root, split, SUFFIXES[shape]
        self._folder = shard_folder(root, shape, split)
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_shards(self._folder, split, self._suffix)
        self._limit = shard_bytes
        self._begin = begin
        self._shard = begin(self._folder)
        self._files = [self._shard.file]  # of all shards: whatever else wrote those that are closed is let go
        self._rows = [0]  # of each shard
        self._num_bytes = 0  # of the last one

    def add(self, row: Conversation, images: Sequence[bytes]) -> None:
        if len(images) != len(row.images):
            raise ValueError(f"row {row.id!r} names {len(row.images)} images and comes with {len(images)}")
        line = msgspec.json.encode(row)
        num_bytes = len(line) + sum(map(len, images))
        if self._num_bytes + num_bytes > self._limit and self._rows[-1]:
            self._shard.close()
            self._shard = self._begin(self._folder)
            self._files.append(self._shard.file)
            self._rows.append(0)
            self._num_bytes = 0
        self._shard.add(row, line, images)
        self._rows[-1] += 1
        self._num_bytes += num_bytes

    def finish(self) -> tuple[DataFile, ...]:
        self._shard.close()
        return tuple(self._named(number) for number in range(len(self._files)))

    def discard(self) -> None:
        self._shard.discard()
        for file in self._files:
            file.discard()

    def _named(self, number: int) -> DataFile:
        file = self._files[number]
        path = self._folder / shard_name(self._split, number, len(self._files), self._suffix)
        file.take_name(path)
        name = path.relative_to(self._root).as_posix()
        return DataFile(name=name, rows=self._rows[number], bytes=file.num_bytes, sha256=file.sha256)
