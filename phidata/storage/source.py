"""Where rows come from: a folder, an archive, one data file, or files on the hub."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from phidata.errors import PhidataError, UsageError
from phidata.regular import check_text
from phidata.storage.archive import unpack
from phidata.storage.hashing import sha256_of
from phidata.storage.hub import HubFile, HubFiles, fetch, fetch_all, is_repo_id
from phidata.storage.manifest import Identity
from phidata.storage.remote import is_remote, shown
from phidata.storage.scratch import scratch_folder
from phidata.storage.tree import files_below

if TYPE_CHECKING:
    from phidata.storage.source_copy import SourceCopy

DATA_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A local folder, archive or data file.

    `name` is what messages call it. `identity` is what tells it from another source wherever it lies: nothing but its
    kind for a folder, the sha256 of an archive or a data file, the commit of hub files, the URL with the sha256 of what
    came from a store. `patterns` limit a folder to some of its files. `copy` is what was fetched for this source alone.
    """

    path: Path
    name: str
    identity: Identity
    patterns: tuple[str, ...] = ()
    copy: SourceCopy | None = None

    @property
    def folder(self) -> Path | None:
        """Where it lies, when what it is made of has no other identity: a folder, or beside a data file."""
        if self.copy is not None:
            return None
        if self.identity["kind"] == "folder":
            return self.path.resolve()
        return self.path.resolve().parent if self.identity["kind"] == "file" else None


@dataclass(frozen=True, kw_only=True)
class Root:
    """The folder that a converter reads: a source folder, an unpacked archive, or where the one data file lies.

    `name` is what messages call it. `file` is the one data file, when the source is one. `images` is the folder below
    which image paths start, when the user gave one, and `images_prefix` what stands before each path besides.
    """

    path: Path
    name: str
    file: str | None = None
    patterns: tuple[str, ...] = ()
    images: Path | None = None
    images_prefix: str = ""

    def files(self, *suffixes: str) -> list[str]:
        """The files of the source as paths below `path`, sorted; with suffixes (`.json`) only those, in any case.

        Of a source that is one data file it is that file alone, whatever lies beside it.
        """
        if self.file is not None:
            found = [self.file]
        else:
            found = ["/".join(parts) for parts in files_below(self.path)]
            if self.patterns:
                found = [file for file in found if any(fnmatchcase(file, pattern) for pattern in self.patterns)]
        return [file for file in found if not suffixes or file.lower().endswith(suffixes)]


def find_source(
    source: str | Path | None, known: Sequence[HubFile | HubFiles], *, scratch: str | Path | None = None
) -> Source:
    """Find what `source` names, or download what it names on the hub; without one, the first that is known.

    What lies at a URL is fetched to a folder in `scratch`, see `phidata.storage.scratch`.

    A hub id such as `sayakpaul/ucf101-subset` stands for the files of that repository that are known, and when it is
    another repository for those that are called as in the first known one. Raises UsageError when there is none,
    DataError when the hub's can not be had now.
    """
    if source is None:
        if not known or not known[0].repo_id:
            raise UsageError("nothing to read: this converter has no data set of its own on the hub; pass --source")
        return _hub_source(known[0])
    if is_remote(source):
        return _fetched(str(source), scratch_folder(scratch))
    path = Path(source)
    check_text(path.absolute())
    if path.is_dir():
        return Source(path=path, name=str(path), identity={"kind": "folder"})
    if path.is_file():
        identity: Identity = {"kind": _kind(path), "sha256": sha256_of(path), "bytes": path.stat().st_size}
        return Source(path=path, name=str(path), identity=identity)
    if path.exists():
        raise UsageError(f"{source} is neither a regular file nor a folder; give a folder, an archive or a data file")
    if not is_repo_id(str(source)) or Path(path.parts[0]).is_dir() or not known:
        raise UsageError(
            f"no source {source}; give a folder, a tar or zip archive, a data file, or a data set id of the hub"
        )
    try:
        return _hub_source(_of_repository(str(source), known))
    except PhidataError as error:
        raise UsageError(f"{source} is no file or folder here, and {error}") from error


@contextmanager
def opened(source: Source, unpack_to: Path) -> Iterator[Root]:
    """Give the folder to read; an archive is unpacked to `unpack_to`, which is removed at the end."""
    if source.path.is_dir():
        yield Root(path=source.path.resolve(), name=source.name, patterns=source.patterns)
        return
    if source.identity["kind"] == "file":
        yield Root(path=source.path.resolve().parent, name=source.name, file=source.path.name)
        return
    shutil.rmtree(unpack_to, ignore_errors=True)
    try:
        unpack(source.path, unpack_to)
        yield Root(path=unpack_to.resolve(), name=source.name)
    finally:
        shutil.rmtree(unpack_to, ignore_errors=True)


def _fetched(url: str, scratch: Path) -> Source:
    from phidata.storage.source_copy import SourceCopy

    copy = SourceCopy(url, scratch)
    identity: Identity = {"kind": _kind(copy.path) if copy.is_file else "folder", "url": shown(url)}
    if not copy.is_file:
        identity["files"] = len(copy.objects)
    identity |= {"sha256": copy.sha256, "bytes": copy.num_bytes}
    return Source(path=copy.path, name=shown(url), identity=identity, copy=copy)


def _kind(path: Path) -> str:
    return "file" if path.suffix.lower() in DATA_SUFFIXES else "archive"


def _of_repository(repo_id: str, known: Sequence[HubFile | HubFiles]) -> HubFile | HubFiles:
    for place in known:
        if place.repo_id == repo_id:
            return place
    first = known[0]
    if isinstance(first, HubFile):
        return HubFile(repo_id, first.filename)
    return HubFiles(repo_id, first.patterns)


def _hub_source(place: HubFile | HubFiles) -> Source:
    identity: Identity = {"kind": "hub", "repo_id": place.repo_id}
    if isinstance(place, HubFile):
        copy = fetch(place)
        identity |= {"file": place.filename, "revision": copy.revision, "sha256": sha256_of(copy.path)}
        return Source(path=copy.path, name=f"{place.repo_id}/{place.filename}", identity=identity)
    copy = fetch_all(place)
    identity |= {"files": " ".join(place.patterns), "revision": copy.revision}
    return Source(path=copy.path, name=place.repo_id, identity=identity, patterns=place.patterns)
