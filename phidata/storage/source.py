"""Where rows come from: a folder, an archive, or a file on the hub."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from phidata.errors import PhidataError, UsageError
from phidata.storage.archive import unpack
from phidata.storage.hub import HubFile, fetch, is_repo_id
from phidata.storage.manifest import Identity

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Source:
    """A local folder or archive.

    `name` is what messages call it. `identity` is what tells it from another source wherever it lies: nothing but its
    kind for a folder, the sha256 of an archive, the commit of a hub file.
    """

    path: Path
    name: str
    identity: Identity


@dataclass(frozen=True, kw_only=True)
class Root:
    """The folder that a converter reads: a source folder, or an unpacked archive under the archive's name."""

    path: Path
    name: str


def find_source(source: str | Path | None, default: HubFile) -> Source:
    """Find the folder or archive that `source` names, or download the hub file that it or `default` names.

    A hub id such as `sayakpaul/ucf101-subset` stands for the file of that repository that is called as the default's.
    Raises UsageError when there is none, DataError when the default can not be had now.
    """
    if source is None:
        return _hub_source(default)
    path = Path(source)
    if path.is_dir():
        return Source(path=path, name=str(path), identity={"kind": "folder"})
    if path.is_file():
        identity: Identity = {"kind": "archive", "sha256": _sha256(path), "bytes": path.stat().st_size}
        return Source(path=path, name=str(path), identity=identity)
    if not is_repo_id(str(source)) or Path(path.parts[0]).is_dir():
        raise UsageError(f"no source {source}; give a folder, a tar or zip archive, or a data set id of the hub")
    try:
        return _hub_source(HubFile(str(source), default.filename))
    except PhidataError as error:
        raise UsageError(f"{source} is no file or folder here, and {error}") from error


@contextmanager
def opened(source: Source, unpack_to: Path) -> Iterator[Root]:
    """Give the folder to read; an archive is unpacked to `unpack_to`, which is removed at the end."""
    if source.path.is_dir():
        yield Root(path=source.path, name=source.name)
        return
    shutil.rmtree(unpack_to, ignore_errors=True)
    try:
        unpack(source.path, unpack_to)
        yield Root(path=unpack_to, name=source.name)
    finally:
        shutil.rmtree(unpack_to, ignore_errors=True)


def _hub_source(file: HubFile) -> Source:
    copy = fetch(file)
    identity: Identity = {
        "kind": "hub",
        "repo_id": file.repo_id,
        "file": file.filename,
        "revision": copy.revision,
        "sha256": _sha256(copy.path),
    }
    return Source(path=copy.path, name=f"{file.repo_id}/{file.filename}", identity=identity)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
