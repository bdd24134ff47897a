"""The rows of a data folder that lies in a store: its shards are read from local copies, fetched when they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phidata.errors import DataError, UsageError
from phidata.records import Conversation
from phidata.storage.cache import Copy, FileCache, RemoteFile
from phidata.storage.folder import MANIFEST
from phidata.storage.manifest import DataFile, Manifest
from phidata.storage.remote import NotThereError, below, read_remote, shown
from phidata.storage.sharded import Shard, ShardedRows
from phidata.storage.stores import shard_opener


@dataclass(frozen=True, kw_only=True)
class RemoteSplit:
    """One split of a remote folder, and the shards that its manifest tells of."""

    url: str
    name: str
    files: tuple[DataFile, ...]


def find_remote_split(url: str, split: str | None) -> RemoteSplit:
    """Read the manifest of a remote folder; `split` may be left out where there is one.

    Raises UsageError for a folder without a manifest, of the shape images-jsonl, or without that split, and DataError
    when the store can not be read.
    """
    manifest = _read_manifest(url)
    if manifest.shape == "images-jsonl":
        raise UsageError(
            f"{shown(url)} has a file for every image, which would be fetched one by one; "
            "write it as arrow, parquet or webdataset to read it from a store"
        )
    names = ", ".join(sorted(manifest.splits))
    if split is None and len(manifest.splits) > 1:
        raise UsageError(f"{shown(url)} has the splits {names}; name one of them")
    split = split or next(iter(manifest.splits))
    if split not in manifest.splits:
        raise UsageError(f"no split {split!r} in {shown(url)}; it has {names}")
    return RemoteSplit(url=url, name=split, files=manifest.splits[split].files)


def open_remote_split(split: RemoteSplit, cache: FileCache) -> ShardedRows:
    """The rows of a split as one sequence; nothing is fetched before a row of it is asked for."""
    return ShardedRows(
        Path(shown(split.url)),
        [_path(split, file) for file in split.files],
        _Shards(split, cache),
        counts=[file.rows for file in split.files],
    )


class _Shards:
    """Opens the shards of a split by their names."""

    def __init__(self, split: RemoteSplit, cache: FileCache) -> None:
        self._url, self._cache = split.url, cache
        self._files = {_path(split, file): file for file in split.files}
        self._open = shard_opener(Path(split.files[0].name).suffix)

    def __call__(self, path: Path) -> Shard:
        return RemoteShard(self._url, self._files[path], self._cache, self._open)


class RemoteShard:
    """One shard, which is open for as long as its copy is in the cache and other copies are not used more recently."""

    def __init__(self, url: str, file: DataFile, cache: FileCache, open_copy: Callable[[Path], Shard]) -> None:
        self._remote = RemoteFile(url=below(url, file.name), num_bytes=file.bytes, sha256=file.sha256)
        self._num_rows, self._cache, self._open_copy = file.rows, cache, open_copy

    def __len__(self) -> int:
        return self._num_rows

    def row(self, number: int) -> Conversation:
        copy = self._copy()  # kept, so that its file stays while it is read
        return copy.content.row(number)

    def rows(self, numbers: range) -> Iterator[Conversation]:
        copy = self._copy()
        yield from copy.content.rows(numbers)

    def images(self, number: int, num_images: int) -> list[bytes]:
        copy = self._copy()
        return copy.content.images(number, num_images)

    def missing_images(self, number: int) -> list[str]:
        copy = self._copy()
        return copy.content.missing_images(number)

    def place(self, number: int) -> str:
        return f"{shown(self._remote.url)}: row {number + 1}"

    def _copy(self) -> Copy[Shard]:
        return self._cache.open(self._remote, self._checked)

    def _checked(self, path: Path) -> Shard:
        shard = self._open_copy(path)
        if len(shard) != self._num_rows:
            raise DataError(
                f"{shown(self._remote.url)} has {len(shard)} rows and its manifest says {self._num_rows}; "
                "make the folder again"
            )
        return shard


def _path(split: RemoteSplit, file: DataFile) -> Path:
    """What a shard is called where a path is wanted; there is nothing at it."""
    return Path(shown(below(split.url, file.name)))


def _read_manifest(url: str) -> Manifest:
    address = below(url, MANIFEST)
    try:
        return msgspec.json.decode(read_remote(address), type=Manifest)
    except NotThereError as error:
        raise UsageError(
            f"there is no {shown(address)}; only a finished data folder can be read from a store, not a file of it"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{shown(address)} is not the manifest of a conversion ({error}); copy it there again"
        ) from error
