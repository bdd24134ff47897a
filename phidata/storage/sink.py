"""Files that are whole or not there: written beside under a temporary name, then renamed."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from phidata.storage.room import naming

_TEMPORARY = re.compile(r"\.(\d+)(?:-[0-9a-f]+)?\.tmp")


class HashedFile:
    """A file being written, and the sha256 of what went into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def new_file(path: Path, *, durable: bool = True) -> Iterator[HashedFile]:
    """Write a file that takes its name only when the block ends well; `durable` waits until the disk has it.

    Without `durable` the file survives the death of the process, but perhaps not a power failure. The folder is made
    when it is missing. A full disk is an OSError that names the file.

    The temporary name is nobody else's: processes of several machines may write into one folder, with equal numbers.
    """
    temporary = path.parent / f".{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with naming(path):
            with _open_new(temporary) as file:
                yield HashedFile(file)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_disk(folder: Path) -> None:
    """Wait until the file system that a folder lies in has written down all that was given to it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _syncfs(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names of a folder's files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _syncfs(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        os.sync()
    elif libc.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _open_new(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")


def remove_temporaries(folder: Path, *, below: bool = True) -> None:
    """Remove what writers that were killed have left in a folder, and in those below it."""
    for root, _, names in os.walk(folder):
        for name in names:
            if _TEMPORARY.fullmatch(name):
                Path(root, name).unlink(missing_ok=True)
        if not below:
            return


def stale_temporaries(folder: Path) -> Iterator[Path]:
    """What writers in a folder have left of whom no process is there any more; nothing when there is no folder."""
    for path in folder.glob(".*.tmp"):
        if (named := _TEMPORARY.fullmatch(path.name)) and not _is_running(int(named[1])):
            yield path


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # of another user
    return True
