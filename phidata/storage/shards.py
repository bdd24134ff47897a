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


class ClosedShard(msgspec.Struct, frozen=True, kw_only=True):
    """A shard that is written and has no final name yet: where it lies for now, and what is in it."""

    path: str
    rows: int
    bytes: int
    sha256: str


class ShardedWriter:
    """Divides the rows of one split among shards, by their content alone; shards are named when all are written.

    Where `keep` is given it is called with every shard that is closed, and says where that lies from then on: it is not
    removed when the rest fails, and the rest of the rows can be written by another writer, which is given all shards
    that were kept as `closed`.
    """

    def __init__(
        self,
        root: Path,
        shape: Shape,
        split: str,
        *,
        shard_bytes: int,
        begin: Callable[[Path], ShardFile],
        closed: Sequence[ClosedShard] = (),
        keep: Callable[[ClosedShard], ClosedShard] | None = None,
    ) -> None:
        self._root, self._split, self._suffix = root, split, SUFFIXES[shape]
        self._folder = shard_folder(root, shape, split)
        self._folder.mkdir(parents=True, exist_ok=True)
        if keep is None:
            remove_shards(self._folder, split, self._suffix)
        self._limit = shard_bytes
        self._begin = begin
        self._keep = keep
        self._closed = list(closed)
        self._shard = begin(self._folder)
        self._rows = 0  # of the open shard
        self._num_bytes = 0

    def add(self, row: Conversation, images: Sequence[bytes]) -> None:
        if len(images) != len(row.images):
            raise ValueError(f"row {row.id!r} names {len(row.images)} images and comes with {len(images)}")
        line = msgspec.json.encode(row)
        num_bytes = len(line) + sum(map(len, images))
        if self._num_bytes + num_bytes > self._limit and self._rows:
            self._close()
            self._shard = self._begin(self._folder)
        self._shard.add(row, line, images)
        self._rows += 1
        self._num_bytes += num_bytes

    def finish(self) -> tuple[DataFile, ...]:
        if self._rows or not self._closed:
            self._close()
        else:
            self._shard.discard()
        return tuple(self._named(number) for number in range(len(self._closed)))

    def discard(self) -> None:
        self._shard.discard()
        if self._keep is None:
            for shard in self._closed:
                Path(shard.path).unlink(missing_ok=True)

    def _close(self) -> None:
        self._shard.close()
        file = self._shard.file
        shard = ClosedShard(path=str(file.path), rows=self._rows, bytes=file.num_bytes, sha256=file.sha256)
        self._closed.append(shard if self._keep is None else self._keep(shard))
        self._rows = self._num_bytes = 0

    def _named(self, number: int) -> DataFile:
        shard = self._closed[number]
        path = self._folder / shard_name(self._split, number, len(self._closed), self._suffix)
        if Path(shard.path).exists() or not path.exists():  # else it was named before its process was killed
            Path(shard.path).replace(path)
        name = path.relative_to(self._root).as_posix()
        return DataFile(name=name, rows=shard.rows, bytes=shard.bytes, sha256=shard.sha256)
