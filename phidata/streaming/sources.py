"""The data sets that a stream reads: how many rows each shard has, and a fingerprint, from the manifests alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from pathlib import Path

from phidata.errors import DataError, UsageError
from phidata.loading import ConversationData, load, open_folder, open_remote_data
from phidata.storage.folder import MANIFEST, DataFolder
from phidata.storage.manifest import DataFile, read_manifest
from phidata.storage.remote import is_remote, shown

ENDS_BYTES = 1 << 16  # of a file of which no manifest tells: so much of either end is looked at


@dataclass(frozen=True, kw_only=True)
class CacheRoom:
    """Where copies of remote shards are kept, and how many bytes of them; None is what `phidata.load` takes."""

    folder: str | Path | None = None
    num_bytes: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where rows are opened; the same address has the same rows. `split` is None for a file. `room` is that of a remote
    folder."""

    path: str
    split: str | None
    fingerprint: str
    room: CacheRoom | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """One data set: what it is called where several are mixed, its path as it was given, where it is opened, and the
    number of rows of each of its shards; of remote shards also the bytes."""

    name: str
    given: str
    address: Address
    counts: tuple[int, ...]
    sizes: tuple[int, ...] = ()

    @cached_property
    def num_rows(self) -> int:
        return sum(self.counts)


def find_sources(paths: Sequence[str | Path], split: str | None, room: CacheRoom) -> tuple[Source, ...]:
    """The data sets of some folders and files: of folders one split, which is left out where there is only one.

    A data set is called as the last part of its path, or by the whole path where two are called the same. Raises
    UsageError for what is not there, and what `phidata.load` raises.
    """
    if not paths:
        raise UsageError("there is no data set to stream; give a data folder, or several")
    names = [_name(path) for path in paths]
    if len({str(path) for path in paths}) < len(paths):
        twice = next(path for path in paths if list(map(str, paths)).count(str(path)) > 1)
        raise UsageError(f"{twice} is given twice; give each data set once, and its share by mix")
    found = []
    for name, path in zip(names, paths, strict=True):
        unique = str(path) if names.count(name) > 1 else name
        remote = is_remote(path)
        found.append(_find_remote(unique, str(path), split, room) if remote else _find(unique, Path(path), split))
    return tuple(found)


@lru_cache(maxsize=64)
def opened(address: Address) -> ConversationData:
    """The rows at an address, opened once a process. Raises DataError where a store has others by now."""
    if address.room is None:
        return load(address.path, address.split)
    from phidata.storage.remote_rows import find_remote_split

    split = find_remote_split(address.path, address.split)
    if _fingerprint(split.files) != address.fingerprint:
        raise DataError(f"{shown(address.path)} has changed since it was opened; open the stream again")
    return open_remote_data(split, address.room.folder, address.room.num_bytes)


def _name(path: str | Path) -> str:
    return shown(path.rstrip("/")).rpartition("/")[2] if isinstance(path, str) and is_remote(path) else Path(path).name


def _find_remote(name: str, url: str, split: str | None, room: CacheRoom) -> Source:
    from phidata.storage.remote_rows import find_remote_split

    found = find_remote_split(url, split)
    address = Address(path=url, split=found.name, fingerprint=_fingerprint(found.files), room=room)
    return Source(
        name=name,
        given=url,
        address=address,
        counts=tuple(file.rows for file in found.files),
        sizes=tuple(file.bytes for file in found.files),
    )


def _find(name: str, path: Path, split: str | None) -> Source:
    if path.is_file():
        return _counted(name, path, split, [path])
    folder = open_folder(path)
    if split is None and len(folder.files) > 1:
        raise UsageError(f"{path} has the splits {', '.join(sorted(folder.files))}; name one of them")
    split = split or next(iter(folder.files))
    files = folder.split(split)
    if (told := _told(folder, split)) is None:
        return _counted(name, path, split, files)
    address = Address(path=str(path.absolute()), split=split, fingerprint=_fingerprint(told))
    return Source(name=name, given=str(path), address=address, counts=tuple(file.rows for file in told))


def _told(folder: DataFolder, split: str) -> tuple[DataFile, ...] | None:
    """What the manifest says of the files of a split; None where there is none, or the rows were edited since."""
    if not (folder.root / MANIFEST).is_file():
        return None
    ledger = read_manifest(folder.root).splits.get(split)
    if ledger is None:
        return None
    if folder.shape == "images-jsonl" and [file.stat().st_size for file in folder.split(split)] != [
        file.bytes for file in ledger.files
    ]:
        return None
    return ledger.files


def _counted(name: str, path: Path, split: str | None, files: Sequence[Path]) -> Source:
    """A data set whose rows are counted now, as one shard."""
    num_rows = len(load(path, split))
    fingerprint = _digest([str(num_rows), *(f"{file.stat().st_size} {_ends(file)}" for file in files)])
    return Source(
        name=name,
        given=str(path),
        address=Address(path=str(path.absolute()), split=split, fingerprint=fingerprint),
        counts=(num_rows,),
    )


def _fingerprint(files: Sequence[DataFile]) -> str:
    return _digest(f"{file.rows} {file.sha256}" for file in files)


def _ends(path: Path) -> str:
    with path.open("rb") as file:
        digest = blake2b(file.read(ENDS_BYTES), digest_size=16)
        file.seek(max(0, path.stat().st_size - ENDS_BYTES))
        digest.update(file.read())
    return digest.hexdigest()


def _digest(parts: Iterable[str]) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
