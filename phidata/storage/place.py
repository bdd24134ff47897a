"""The place of a new folder: made by one process alone, beside it or in it, taken when all of it is there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from phidata.errors import DISK_FULL, DataError, UsageError
from phidata.storage.folder import MANIFEST
from phidata.storage.sink import new_file

_INSIDE = ".unfinished"
_MOVING = ".moving"  # the names of the entries that move up, while they do


def check_place(out: Path, *, read: Iterable[Path] = ()) -> None:
    """Raise UsageError when a new folder can not be `out`: it holds anything but what a killed process has left there,
    or one of it and the folders that are read lies in the other."""
    new = Path(os.path.realpath(out))  # a link to itself is no error here
    for folder in read:
        old = folder.resolve()
        if new == old:
            raise UsageError(f"{out} is read and can not be written too; choose a new folder")
        if old in new.parents or new in old.parents:
            raise UsageError(f"of {out} and {folder} one lies in the other; choose a folder beside {folder}")
    if out.is_dir():
        left = {_INSIDE, *_moved_up(out)}
        if some := ", ".join(sorted(entry.name for entry in out.iterdir() if entry.name not in left)[:3]):
            raise UsageError(f"{out} holds other files ({some}); choose a new or empty folder")
    elif out.exists() or out.is_symlink():
        raise UsageError(f"{out} is a file; choose a new or empty folder")


class NewFolder:
    """A folder being made at `path`, hidden, which takes its place by `become_final`.

    A new place is taken at once, by a folder that was made beside it. One that is there already, and empty, may be a
    mount point or what a link leads to, which nothing can replace: the folder is made in it, and its entries move up.

    To be used in a `with` block, which leaves nothing behind when it ends without. What a killed process has left there
    is removed. Raises UsageError when the place holds anything, or when another process is making it; in the block a
    full disk becomes a DataError.
    """

    def __init__(self, final: Path) -> None:
        check_place(final)
        self._final = final
        self.is_final = False
        place = final.absolute()
        self._is_inside = place.is_dir()
        self.path = place / _INSIDE if self._is_inside else place.parent / f".{place.name}.unfinished"
        try:
            self._descriptor = self._locked()
        except OSError as error:
            raise UsageError(f"{final} can not be written ({error.strerror}); choose another folder") from error

    def become_final(self) -> None:
        """Take the place, which must still be empty."""
        check_place(self._final)
        if self._is_inside:
            entries = sorted(self.path.iterdir(), key=lambda entry: (entry.name == MANIFEST, entry.name))
            with new_file(self.path / _MOVING) as file:
                file.write("\0".join(entry.name for entry in entries).encode("utf-8", "surrogateescape"))
            for entry in entries:
                entry.replace(self.path.parent / entry.name)
            (self.path / _MOVING).unlink()
            self.path.rmdir()
        else:
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
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise DataError(
                f"{self._final} can not be written ({error.strerror}); make room and run the same command again"
            ) from error

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
                    for name in _moved_up(self._final):
                        _remove(self._final / name)
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


def _moved_up(place: Path) -> list[str]:
    """What a process that was killed while its entries moved up has put in a place; nothing when all of them are up."""
    inside = place / _INSIDE
    try:
        names = (inside / _MOVING).read_bytes().decode("utf-8", "surrogateescape").split("\0")
        below = {entry.name for entry in inside.iterdir()} - {_MOVING}
    except (FileNotFoundError, NotADirectoryError):
        return []
    up = {entry.name for entry in place.iterdir()} - {_INSIDE}
    return sorted(up.intersection(names) - below) if below else []


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        _remove(entry)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
