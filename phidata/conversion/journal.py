"""The journal of a conversion: a hidden folder of the output, there for as long as the conversion is unfinished.

It holds what the conversion was begun with, what its rows are called, and the part of each range of rows that is done:
`header.json`, `rows.jsonl`, `parts/`. Each file is written beside, brought to the disk and renamed, so that the process
may die at any moment. Whoever has the journal open holds a lock on it, and so do the processes that convert for it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from phidata.conversion.listing import ROWS, ListedRow
from phidata.errors import UsageError
from phidata.storage.manifest import Identity
from phidata.storage.sink import new_file

_LOCK = "lock"
_HEADER = "header.json"
_PATIENCE_S = 1.0  # the processes that converted for one that was killed hold the lock until they have ended too
_LISTING = "listing"  # of the process that has the journal open, made anew by each


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes of the output depend on; a conversion is continued only by one with the same header.

    `options` are all of them by name, `images` and `folder` where things lie that have no other identity.
    """

    converter: str
    options: dict[str, Any]
    source: Identity
    folder: str | None
    images: str | None
    versions: dict[str, str]

    def difference(self, other: Header) -> str:
        """What this one has that the other has not, in words."""
        if (self.source, self.folder, self.images) != (other.source, other.folder, other.images):
            return "another source"
        mine, theirs = ({**header.options, **header.versions} for header in (self, other))
        return ", ".join(f"{name} {value}" for name, value in mine.items() if value != theirs.get(name))


class Change(NamedTuple):
    """A row that another listing has otherwise: the number of its range, and what it was and is; None where there is
    none."""

    range: int
    was: ListedRow | None
    now: ListedRow | None


_decode_header = msgspec.json.Decoder(Header).decode
_decode_rows = msgspec.json.Decoder(list[ListedRow]).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Journal:
    """The open journal of one output folder. Raises UsageError when another process has it open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parts = path / "parts"
        self.shards = path / "shards"
        self.listing = path / _LISTING
        self.lock = _open_locked(path)
        try:
            shutil.rmtree(self.listing, ignore_errors=True)
            self.header = self._read_header()
        except BaseException:
            self.close()
            raise

    def start(self, header: Header) -> None:
        """Forget everything and begin anew."""
        for name in (_HEADER, ROWS):
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.parts, self.shards):
            shutil.rmtree(folder, ignore_errors=True)
        with new_file(self.path / _HEADER) as file:
            file.write(msgspec.json.encode(header))
        self.header = header

    @property
    def has_parts(self) -> bool:
        """Whether anything was converted."""
        return self.parts.is_dir() and any(self.parts.iterdir())

    def changes(self) -> Iterator[Change]:
        """What the listing has otherwise than the one that the conversion was begun with."""
        before = self.path / ROWS
        if before.exists():
            with before.open("rb") as old, (self.listing / ROWS).open("rb") as new:
                for number, (was, now) in enumerate(zip_longest(old, new)):
                    if was != now:
                        yield from _differences(number, was, now)

    def keep_listing(self) -> None:
        """Remember what the rows are called, for a conversion that continues."""
        with new_file(self.path / ROWS) as file, (self.listing / ROWS).open("rb") as listed:
            while chunk := listed.read(1 << 20):
                file.write(chunk)

    def close(self) -> None:
        """Leave the journal for a conversion that continues, and give up the lock."""
        shutil.rmtree(self.listing, ignore_errors=True)
        os.close(self.lock)
        if self.path.exists():  # on NFS the lock, which was open, is gone from it only now
            with suppress(OSError):  # it is not empty: the conversion is unfinished
                self.path.rmdir()

    def remove(self) -> None:
        """Remove the journal, while the lock is still held; without its header it is none any more."""
        (self.path / _HEADER).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def _read_header(self) -> Header | None:
        try:
            return _decode_header((self.path / _HEADER).read_bytes())
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            raise UsageError(
                f"{self.path} is not a journal that this version of phidata can continue; remove {self.path.parent}"
            ) from error


def _differences(number: int, was: bytes | None, now: bytes | None) -> Iterator[Change]:
    for old, new in zip_longest(*([] if line is None else _decode_rows(line) for line in (was, now))):
        if old != new:
            yield Change(number, old, new)


def _open_locked(path: Path) -> int:
    """Take the lock, made with its folder when there is none; it goes with the process, however it ends."""
    while True:
        path.mkdir(exist_ok=True)
        try:
            descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # its owner finished and removed it
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            os.close(descriptor)
            raise UsageError(
                f"another process is converting into {path.parent}; wait for it or choose another --out"
            ) from error
        if (path / _LOCK).exists() and os.fstat(descriptor).st_ino == (path / _LOCK).stat().st_ino:
            return descriptor
        os.close(descriptor)  # its owner finished and removed it between our open and our lock


def _lock(descriptor: int) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
