"""The objects of a store one by one: what it says of them, listed, written, sent from a file, removed."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from phidata.errors import UsageError
from phidata.storage.remote import REQUEST_BYTES, NotThereError, Remote, attempt, call, read_part, shown

PART_BYTES = 50 << 20  # of what is sent in several requests: s3fs' default, by which S3's checksum can be made again
PARTS = 4  # that are in memory, and on their way
LARGE_BYTES = 16 << 20  # of a file that no other large one is sent beside, for the sake of memory
LIST_BYTES = 60 * REQUEST_BYTES  # as which a list of all objects counts: it takes a request for a thousand of them
_MD5 = re.compile(r"[0-9a-f]{32}(-\d+)?")
_one_at_a_time = Lock()
_STAMPS = ("ETag", "etag", "md5Hash", "blob_id", "Last-Modified", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a store says of an object: its size (-1: nothing), and what will be otherwise when it is another.

    `checksum` is the md5 of its content, or what S3 has for one that came in several parts; None where the store tells
    none. An S3 store with keys of its own tells something else that looks the same.
    """

    num_bytes: int
    stamp: str
    checksum: str | None = None


@dataclass(frozen=True, kw_only=True)
class Content:
    """A local file to be compared: its size, and its md5 in all the ways that stores have it."""

    num_bytes: int
    checksums: tuple[str, ...]


def tell(url: str) -> Told:
    """What the store says of one object. Raises NotThereError when there is none, DataError as `attempt` does."""
    return attempt(url, _tell)


def is_folder(url: str) -> bool:
    """Whether a URL is the beginning of others, and no object itself. Raises as `tell` does."""

    def ask(remote: Remote) -> bool:
        remote.fs.invalidate_cache()
        return bool(call(remote, "info", remote.path)["type"] == "directory")

    return attempt(url, ask)


def objects_below(url: str, pattern: str | None = None) -> dict[str, Told]:
    """Every object below a URL by its path from there, sorted; with a pattern those whose path matches, in which `*`
    also stands for slashes. Empty when there are none. Raises DataError as `attempt` does."""

    def find(remote: Remote) -> dict[str, Any]:
        remote.fs.invalidate_cache()
        top = remote.fs._strip_protocol(remote.path).rstrip("/")
        found = call(remote, "find", top, detail=True, num_bytes=LIST_BYTES)
        return {name[len(top) :].lstrip("/"): info for name, info in found.items() if info["type"] == "file"}

    try:
        found = attempt(url, find, doing="listed")
    except NotThereError:
        return {}
    return {
        name: _told(found[name]) for name in sorted(found) if name and (pattern is None or fnmatchcase(name, pattern))
    }


def names_in(url: str) -> list[str]:
    """What lies directly below a URL, folders too; empty when there is nothing. Raises DataError as `attempt` does."""

    def list_names(remote: Remote) -> list[str]:
        remote.fs.invalidate_cache()
        found = call(remote, "ls", remote.path, detail=False)
        return sorted({name.rstrip("/").rpartition("/")[2] for name in found})

    try:
        return attempt(url, list_names, doing="listed")
    except NotThereError:
        return []


def read_lines(url: str) -> Iterator[bytes]:
    """The lines of an object, however large it is, without their ends; none when there is no object. Raises DataError
    as `attempt` does."""
    try:
        total = tell(url).num_bytes
    except NotThereError:
        return
    rest = b""
    for begin in range(0, total, REQUEST_BYTES):
        *lines, rest = (rest + read_part(url, begin, min(begin + REQUEST_BYTES, total), total=total)).split(b"\n")
        yield from lines
    if rest:
        yield rest


def write_object(url: str, data: bytes) -> None:
    """Write a small object in one request. Raises DataError as `attempt` does."""

    def write(remote: Remote) -> None:
        _make_parent(remote)
        call(remote, "pipe_file", remote.path, data)

    attempt(url, write, doing="written")


def create_object(url: str, data: bytes) -> bool:
    """Write an object unless there is one of that name; whether it is there now with this content.

    Of several who try at once one succeeds, where the store can promise that. Raises DataError as `attempt` does.
    """

    def create(remote: Remote) -> bool:
        _make_parent(remote)
        try:
            call(remote, "pipe_file", remote.path, data, mode="create")
        except FileExistsError:
            with suppress(FileNotFoundError):  # it is gone again
                found: bytes = call(remote, "cat_file", remote.path)
                return found == data  # the answer was lost
            return False
        return True

    return attempt(url, create, doing="written")


def remove_object(url: str) -> None:
    """Remove an object; that it is not there is no error. Raises DataError as `attempt` does."""
    with suppress(NotThereError):
        attempt(url, lambda remote: call(remote, "rm_file", remote.path), doing="removed")


def remove_folder(url: str) -> None:
    """Remove a folder that is empty, where the store has folders; in others it is gone with its last object."""

    def remove(remote: Remote) -> None:
        if not remote.fs.async_impl:
            with suppress(OSError, NotImplementedError):
                remote.fs.rmdir(remote.path)

    attempt(url, remove, doing="removed")


def send_file(path: Path, url: str, *, is_new: bool) -> bool:
    """Make an object of a local file, unless it is there and the same; whether anything was sent. An object that
    `is_new` can not be there yet.

    What lies there is compared: by size and checksum, or, where the store has no checksum that can be made again, byte
    by byte. Raises DataError as `attempt` does, also when it never comes to lie there as it is.
    """
    content = content_of(path)
    if not is_new:
        with suppress(NotThereError):
            if attempt(url, partial(_is_same, path=path, content=content)):
                return False

    def send(remote: Remote) -> None:
        options = {"max_concurrency": PARTS} if "s3" in remote.fs.protocol else {}
        call(remote, "put_file", str(path), remote.path, num_bytes=content.num_bytes, **options)
        try:
            arrived = _is_same(remote, path=path, content=content)
        except FileNotFoundError:
            arrived = False
        if not arrived:
            raise OSError("what came to lie there is not what was sent")

    with _one_at_a_time if content.num_bytes > LARGE_BYTES else nullcontext():
        attempt(url, send, doing="written")
    return True


def content_of(path: Path) -> Content:
    """Read a file for comparing."""
    whole, parts, num_bytes = hashlib.md5(usedforsecurity=False), list[bytes](), 0
    with path.open("rb") as file:
        while data := file.read(PART_BYTES):
            whole.update(data)
            parts.append(hashlib.md5(data, usedforsecurity=False).digest())
            num_bytes += len(data)
    of_parts = hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()
    return Content(num_bytes=num_bytes, checksums=(whole.hexdigest(), f"{of_parts}-{len(parts)}"))


def check_writable(url: str) -> None:
    """Raise UsageError for a URL that no data folder can be written to."""
    store = url.partition("://")[0]
    if store in ("http", "https"):
        raise UsageError(f"{shown(url)} is on a web server, which takes no files; give the URL of a store, or a folder")
    if store == "hf":
        raise UsageError(f"{url} is on the hub, which takes whole folders; convert into a folder and `phidata push` it")


def _make_parent(remote: Remote) -> None:
    """Where a store has folders; in others it would be the bucket that is made."""
    if not remote.fs.async_impl:
        remote.fs.makedirs(remote.fs._parent(remote.path), exist_ok=True)


def _is_same(remote: Remote, *, path: Path, content: Content) -> bool:
    found = _tell(remote)
    if found.num_bytes != content.num_bytes:
        return False
    return found.checksum in content.checksums or _is_equal(remote, path, content.num_bytes)


def _is_equal(remote: Remote, path: Path, num_bytes: int) -> bool:
    with path.open("rb") as file:
        for begin in range(0, num_bytes, REQUEST_BYTES):
            end = min(begin + REQUEST_BYTES, num_bytes)
            there: bytes = call(remote, "cat_file", remote.path, start=begin, end=end)
            if there != file.read(end - begin):
                return False
    return True


def _tell(remote: Remote) -> Told:
    remote.fs.invalidate_cache()
    found = call(remote, "info", remote.path)
    if found["type"] != "file":
        raise FileNotFoundError(remote.path)
    return _told(found)


def _told(found: Mapping[str, Any]) -> Told:
    size = found.get("size")
    stamp = next((str(found[name]).strip('"') for name in _STAMPS if found.get(name)), "")
    return Told(num_bytes=-1 if size is None else int(size), stamp=stamp, checksum=next(_checksums(found), None))


def _checksums(found: Mapping[str, Any]) -> Iterator[str]:
    """The checksum as S3, Google's and Microsoft's stores tell it."""
    if found.get("md5Hash"):
        yield b64decode(found["md5Hash"]).hex()
    if md5 := (found.get("content_settings") or {}).get("content_md5"):
        yield bytes(md5).hex()
    if _MD5.fullmatch(etag := str(found.get("ETag")).strip('"')):
        yield etag
