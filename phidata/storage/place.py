"""The place of a new folder: made beside it by one process alone, taken when all of it is there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from phidata.errors import UsageError


def check_place(out: Path, *, read: Iterable[Path] = ()) -> None:
    """Raise UsageError when a new folder can not be `out`: it holds anything, or one of it and the folders that are
    read lies in the other."""
    new = out.resolve()
    for folder in read:
        old = folder.resolve()
        if new == old:
            raise UsageError(f"{out} is read and can not be written too; choose a new folder")
        if old in new.parents or new in old.parents:
            raise UsageError(f"of {out} and {folder} one lies in the other; choose a folder beside {folder}")
    if out.is_dir():
        if some := ", ".join(sorted(entry.name for entry in out.iterdir())[:3]):
            raise UsageError(f"{out} holds other files ({some}); choose a new or empty folder")
    elif out.exists() or out.is_symlink():
        raise UsageError(f"{out} is a file; choose a new or empty folder")


class NewFolder:
    """A folder being made at `path`, hidden beside its place, which it takes by `become_final`.

    To be used in a `with` block, which leaves nothing behind when it ends without. What a killed process has left there
    is removed. Raises UsageError when the place holds anything, or when another process is making it.
    """

    def __init__(self, final: Path) -> None:
        check_place(final)
        self._final = final
        self.is_final = False
        self.path = final.absolute().parent / f".{final.absolute().name}.unfinished"
        try:
            self._descriptor = self._locked()
        except OSError as error:
            raise UsageError(f"{final} can not be written ({error.strerror}); choose another folder") from error

    def become_final(self) -> None:
        """Take the place, which must still be empty."""
        check_place(self._final)
        self.path.replace(self._final)
        self.is_final = True
        os.close(self._descriptor)

    def close(self) -> None:
        """Leave nothing behind, unless the place is taken."""
        if not self.is_final:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._descriptor)

    def __enter__(self) -> NewFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _locked(self) -> int:
        """Make the folder, empty, and lock it; the lock goes with the process, however it ends."""
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                check_place(self._final)  # whoever had the lock before may have finished
                if self.path.exists() and os.fstat(descriptor).st_ino == self.path.stat().st_ino:
                    _clear(self.path)
                    return descriptor
            except BlockingIOError as error:
                os.close(descriptor)
                raise UsageError(
                    f"another process is writing {self._final}; wait for it or choose another folder"
                ) from error
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # its owner removed it between our open and our lock


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
