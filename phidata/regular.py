"""Files that are files and have names: a pipe is refused where a plain `open` would wait for it for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from phidata.errors import DataError, UsageError


def read_regular(path: str | Path) -> bytes:
    """All of a file. Raises OSError where it can not be read, also for what is neither a file nor a folder."""
    with open(path, "rb", opener=_open) as file:
        return file.read()


def check_regular(path: Path) -> Path:
    """The same path. Raises DataError when it is a pipe or a device; whatever else is wrong is told by its reader."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return path
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return path
    raise DataError(f"{path} is a pipe or a device, where a file is expected; put a file in its place")


def check_text(path: Path) -> Path:
    """The same path. Raises UsageError when it is not UTF-8: records and pages are, and could not name it."""
    if any("\ud800" <= character <= "\udfff" for character in str(path)):
        raise UsageError(f"{str(path)!a} is not UTF-8; rename the file or folder")
    return path


def _open(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is a pipe or a device", path)
