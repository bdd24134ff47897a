"""Disks that are full or read-only: a small file system in memory, or, for whoever may mount none, limits of files."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

SIZE = 4 << 20
BALLAST = "ballast"


class Disk(Protocol):
    """A folder to write into. `rooms`: numbers of bytes with which writers stop at one place or another."""

    path: Path

    @property
    def rooms(self) -> tuple[int, ...]: ...

    def room(self, num_bytes: int) -> AbstractContextManager[None]:
        """A block in which no more than so many bytes can be written: in all, or in each file."""

    def read_only(self) -> AbstractContextManager[None]:
        """A block in which nothing can be written."""


class SmallDisk:
    """A tmpfs of 4 MB."""

    rooms = (0, 4096, 16_384, 40_960)

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def room(self, num_bytes: int) -> Iterator[None]:
        ballast = self.path / BALLAST
        status = os.statvfs(self.path)
        ballast.write_bytes(bytes(status.f_bavail * status.f_frsize - num_bytes))
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        _mount("-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.path))


class LimitedFolder:
    """A folder in which files can not grow: as on a full disk but for the name of the error (EFBIG)."""

    rooms = (0, 700, 3000)

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def room(self, num_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextmanager
    def read_only(self) -> Iterator[None]:
        folders = [self.path, *filter(Path.is_dir, self.path.iterdir())]
        for folder in folders:
            folder.chmod(0o555)
        try:
            yield
        finally:
            for folder in folders:
                folder.chmod(0o755)


@contextmanager
def disk(kind: str, path: Path) -> Iterator[Disk]:
    """A disk of one of KINDS, mounted at a new folder."""
    path.mkdir()
    if kind == "limit":
        yield LimitedFolder(path)
        return
    _mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path))
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", path], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    trial = "mount -t tmpfs tmpfs /mnt"  # in a name space of its own, which ends with the shell
    return subprocess.run(["unshare", "-m", "sh", "-c", trial], capture_output=True, check=False).returncode == 0


KINDS = ("tmpfs", "limit") if _can_mount() else ("limit",)
READ_ONLY_KINDS = ("tmpfs",) if "tmpfs" in KINDS else ("limit",) if os.geteuid() else ()
