"""The folder of an export: made beside its place, which it takes when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phidata.errors import UsageError


@contextmanager
def new_folder(out: Path, *, beside: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `out` when the block ends well and is removed otherwise.

    Raises UsageError when `out` holds anything, or when it lies in the folder that is read or around it.
    """
    new, old = out.resolve(), beside.resolve()
    if new == old or old in new.parents or new in old.parents:
        raise UsageError(f"of {out} and {beside} one lies in the other; choose a folder beside {beside}")
    if out.is_dir():
        if held := ", ".join(sorted(entry.name for entry in out.iterdir())[:3]):
            raise UsageError(f"{out} holds other files ({held}); choose a new or empty folder")
    elif out.exists() or out.is_symlink():
        raise UsageError(f"{out} is a file; choose a new or empty folder")
    temporary = new.parent / f".{new.name}.{os.getpid()}.tmp"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{out} can not be written ({error.strerror}); choose another folder") from error
    try:
        yield temporary
        os.sync()
        temporary.replace(new)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
