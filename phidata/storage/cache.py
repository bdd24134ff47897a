"""Copies of remote files in a folder of limited size, which any number of processes of one machine share.

A copy is called by the sha256 that its manifest tells, so that it is what it should be for as long as it is there. It
is fetched under another name, checked, brought to disk and renamed; one process fetches, others that want it wait. What
was used least recently goes first. A copy that is open in any process stays: who reads it holds a shared lock (flock),
who removes it an exclusive one, and locks end with their process. The folder is over its limit by such copies only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from phidata.errors import DataError, UsageError
from phidata.storage.offsets import cache_folder
from phidata.storage.remote import read_part, shown
from phidata.storage.shape import parse_size

T = TypeVar("T")

DEFAULT_BYTES = 64 << 30
CHUNK_BYTES = 8 << 20  # of a request
FETCHES = 3  # of a file that arrives as another than it should be
MAX_OPEN = 64  # copies that a process has open
NOTED_S = 1.0  # how old the last note of a use may be

_UNFINISHED = ".unfinished"  # the name's ending for as long as a copy is not whole
_NOTE = ".used"  # of an empty file, which is as old as the last use
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file at some address, and what it has to be."""

    url: str
    num_bytes: int
    sha256: str

    @property
    def copy_name(self) -> str:
        """What its copies are called."""
        return self.sha256 + Path(self.url.partition("?")[0]).suffix


class Copy(Generic[T]):
    """A copy that is open: what was made of it. It stays for as long as this is referred to."""

    def __init__(self, content: T, path: Path, lock: _Lock) -> None:
        self.content = content
        self._note = path.with_suffix(_NOTE)
        self._lock = lock
        self._noted = -NOTED_S

    def note_use(self) -> None:
        """Tell all processes that it is in use, now and then."""
        now = time.monotonic()
        if now - self._noted >= NOTED_S:
            self._noted = now
            self._note.touch()


class FileCache:
    """The cache in one folder. Can be shared by threads, and sent to other processes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._begin()

    def open(self, file: RemoteFile, make: Callable[[Path], T]) -> Copy[T]:
        """The copy of a file, and what `make` makes of it when it is not open in this process.

        Raises UsageError for a file that is larger than the cache may be, DataError when it can not be fetched or is
        another than it should be, or when the folder can not be written.
        """
        if self._process != os.getpid():
            self._begin()  # what a fork has open is its parent's
        with self._mutex:
            found = self._open.get(file.sha256)
            if found is not None:
                self._open.move_to_end(file.sha256)
        if found is None:
            path, lock = self._copy_of(file)
            found = Copy(make(path), path, lock)
            with self._mutex:
                self._open[file.sha256] = found
                while len(self._open) > MAX_OPEN:
                    self._open.popitem(last=False)
        found.note_use()
        return found

    def _begin(self) -> None:
        self._process = os.getpid()
        self._mutex = Lock()
        self._open: OrderedDict[str, Copy[Any]] = OrderedDict()  # the one used last at the end

    def _copy_of(self, file: RemoteFile) -> tuple[Path, _Lock]:
        path = self.folder / file.copy_name
        if (lock := _Lock.shared(path)) is not None:
            return path, lock
        if file.num_bytes > self.limit:
            raise UsageError(
                f"a cache of {self.limit} bytes can not hold {shown(file.url)}, which has {file.num_bytes}; "
                "give a larger cache_bytes"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _alone(self.folder / f"{file.sha256[:2]}{_LOCK}"):
                while (lock := _Lock.shared(path)) is None:
                    self._fetch(file, path)
        except OSError as error:
            raise DataError(
                f"the cache {self.folder} can not be written ({error.strerror or error}); "
                "give another folder, or make room on its disk"
            ) from error
        return path, lock

    def _fetch(self, file: RemoteFile, path: Path) -> None:
        unfinished = path.with_suffix(_UNFINISHED)
        lock = self._reserve(unfinished, file.num_bytes)
        try:
            _download(file, lock.descriptor)
            os.fsync(lock.descriptor)
            path.with_suffix(_NOTE).touch()
            unfinished.rename(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        finally:
            lock.close()

    def _reserve(self, path: Path, num_bytes: int) -> _Lock:
        """Make room for a file, and make it with its full size, so that others see what it will take."""
        with _alone(self.folder / f"room{_LOCK}"):
            self._make_room(num_bytes)
            lock = _Lock.new(path)
            os.truncate(lock.descriptor, num_bytes)
        return lock

    def _make_room(self, num_bytes: int) -> None:
        copies, total = self._copies()
        for path, size in copies:
            if total + num_bytes <= self.limit:
                return
            with self._mutex:
                self._open.pop(path.stem, None)
            if _Lock.removed(path):
                path.with_suffix(_NOTE).unlink(missing_ok=True)
                total -= size

    def _copies(self) -> tuple[list[tuple[Path, int]], int]:
        """All copies with their sizes, those first that were used least recently, and the bytes of all; what a process
        that has died left unfinished is removed."""
        found: list[tuple[int, Path, int]] = []
        for entry in os.scandir(self.folder):
            path = Path(entry.path)
            if path.suffix in (_LOCK, _NOTE) or (path.suffix == _UNFINISHED and _Lock.removed(path)):
                continue
            with suppress(FileNotFoundError):  # finished or removed meanwhile
                found.append((_last_use(path), path, entry.stat().st_size))
        copies = [(path, size) for _, path, size in sorted(found) if path.suffix != _UNFINISHED]
        return copies, sum(size for _, _, size in found)

    def __reduce__(self) -> tuple[Any, ...]:
        return file_cache, (self.folder, self.limit)


@lru_cache(maxsize=8)
def file_cache(folder: Path, limit: int) -> FileCache:
    """The cache in a folder, one in a process."""
    return FileCache(folder, limit)


def cache_at(folder: str | Path | None, size: int | str | None) -> FileCache:
    """The cache in a folder, of a size such as 20_000_000 or "200GB".

    By default it is `files` in the folder in which phidata keeps what it can make again, and 64 GB. Raises UsageError
    for what is no size, and for a user without a home.
    """
    if folder is None:
        kept = cache_folder()
        if kept is None:
            raise UsageError("there is no home folder to keep copies of remote files in; name one by cache")
        folder = kept / "files"
    return file_cache(Path(folder).absolute(), limit_of(size))


def limit_of(size: int | str | None) -> int:
    """The bytes that a cache of such a size holds. Raises UsageError for what is no size."""
    return DEFAULT_BYTES if size is None else parse_size(str(size))


class _Lock:
    """An open file with a lock, which ends when nobody refers to it. A fork does not have it."""

    def __init__(self, path: Path, flags: int) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, flags, 0o666)
        _locks.add(self)

    @classmethod
    def shared(cls, path: Path) -> _Lock | None:
        """Keep a file from being removed; None when it is not there."""
        try:
            lock = cls(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        fcntl.flock(lock.descriptor, fcntl.LOCK_SH)
        return lock if os.fstat(lock.descriptor).st_nlink else None

    @classmethod
    def new(cls, path: Path) -> _Lock:
        """Make a file that nobody else writes."""
        lock = cls(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock.descriptor, fcntl.LOCK_EX)
        return lock

    @classmethod
    def removed(cls, path: Path) -> bool:
        """Remove a file unless somebody holds it; whether it is gone."""
        try:
            lock = cls(path, os.O_RDONLY)
            fcntl.flock(lock.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        return True

    def close(self, close: Callable[[int], None] = os.close) -> None:  # the module may be gone when it is collected
        if self.descriptor >= 0:
            close(self.descriptor)
            self.descriptor = -1

    __del__ = close


_locks: WeakSet[_Lock] = WeakSet()


def _close_all() -> None:
    for lock in _locks:
        lock.close()


os.register_at_fork(after_in_child=_close_all)  # else a lock would last as long as the child


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Run a block in one process and thread at a time."""
    lock = _Lock.new(path)
    try:
        yield
    finally:
        lock.close()


def _last_use(path: Path) -> int:
    try:
        return path.with_suffix(_NOTE).stat().st_mtime_ns
    except FileNotFoundError:
        return path.stat().st_mtime_ns


def _download(file: RemoteFile, descriptor: int) -> None:
    for _ in range(FETCHES):
        digest, position = hashlib.sha256(), 0
        while position < file.num_bytes:
            end = min(position + CHUNK_BYTES, file.num_bytes)
            data = read_part(file.url, position, end, total=file.num_bytes)
            digest.update(data)
            position += os.pwrite(descriptor, data, position)
        if digest.hexdigest() == file.sha256:
            return
    raise DataError(
        f"{shown(file.url)} is not what its manifest says: its sha256 is {digest.hexdigest()}, not {file.sha256}; "
        "copy it there again"
    )
