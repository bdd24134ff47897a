"""Local folders for what comes from a store or goes to one, each for one URL, used by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from phidata.errors import UsageError
from phidata.storage.offsets import cache_folder

_LOCK = "lock"


def scratch_folder(given: str | Path | None) -> Path:
    """Where such folders lie: `scratch` in the folder in which phidata keeps what it can make again, or as given.

    Raises UsageError for a user without a home.
    """
    if given is not None:
        return Path(given).absolute()
    kept = cache_folder()
    if kept is None:
        raise UsageError("there is no home folder for what comes from a store or goes to one; name one by --scratch")
    return kept / "scratch"


class Scratch:
    """The folder for one URL, which this process alone has until it is closed, or dies; `shared` with others that only
    read it.

    `what` tells folders for different purposes apart. Raises UsageError when it can not be written; `BlockingIOError`
    when another process has it, unless `wait`.
    """

    _descriptor = -1

    def __init__(self, folder: Path, what: str, url: str, *, wait: bool = False, shared: bool = False) -> None:
        self.path = folder / f"{what}-{hashlib.sha256(url.encode()).hexdigest()[:32]}"
        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            self._descriptor = _locked(self.path, mode)
        except BlockingIOError:
            raise
        except OSError as error:
            raise UsageError(f"{folder} can not be written ({error.strerror}); name another --scratch") from error

    def share(self) -> None:
        """Let other processes read it too; none of them removes it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def remove(self) -> None:
        """Remove the folder, unless another process reads it."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != _LOCK:
                entry.unlink()
        shutil.rmtree(self.path)

    def close(self, close: Callable[[int], None] = os.close) -> None:  # the module may be gone when it is collected
        """Let others have it."""
        if self._descriptor >= 0:
            close(self._descriptor)
            self._descriptor = -1

    __del__ = close


def _locked(folder: Path, mode: int) -> int:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _LOCK
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            continue  # its owner finished and removed it
        try:
            fcntl.flock(descriptor, mode)
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner finished and removed it between our open and our lock
