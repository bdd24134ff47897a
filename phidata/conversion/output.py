"""The output folder while it is being written: whose it is, what is continued, what is removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from phidata.conversion.earlier import UNPACKED, check_all_ours, earlier_files, remove_earlier
from phidata.conversion.journal import Header, Journal
from phidata.conversion.outcome import Written
from phidata.conversion.parts import earlier_results
from phidata.errors import DISK_FULL, DataError, UsageError
from phidata.storage.folder import IMAGES, JOURNAL, MANIFEST
from phidata.storage.manifest import read_manifest
from phidata.storage.shape import Shape
from phidata.storage.sink import remove_temporaries


class Output:
    """A folder that this process alone writes, for as long as its journal is open. Made by `claimed`.

    `images` is the folder of the images where they are files, else None.
    """

    def __init__(self, root: Path, journal: Journal, shape: Shape) -> None:
        self.root = root
        self.images = root / IMAGES if shape == "images-jsonl" else None
        self.unpacked = root / UNPACKED
        self.journal = journal

    def begin(self, header: Header, *, anew: bool) -> None:
        """Begin from nothing when that is wanted or nothing was done before, else continue after the journal.

        Raises UsageError when rows that are done are others in the source now.
        """
        if anew or self.journal.header is None:
            files = earlier_files(self.root, header.converter)
            (self.root / MANIFEST).unlink(missing_ok=True)  # first: from here on the folder is unfinished
            self.journal.start(header)
            remove_earlier(self.root, files)
        else:
            self._check_source()
        self.remove_temporaries()
        self.journal.keep_listing()
        self.journal.parts.mkdir(exist_ok=True)
        if self.images is not None:
            self.images.mkdir(exist_ok=True)

    def remove_temporaries(self) -> None:
        """Remove what writers that were killed have left."""
        remove_temporaries(self.root, below=False)
        for entry in self.root.iterdir():
            if entry.is_dir() and entry.name != UNPACKED:
                remove_temporaries(entry)

    def _check_source(self) -> None:
        if not self.journal.has_parts:
            return
        for change in self.journal.changes():
            was, now = change.was, change.now
            if was is None or now is None or was.name != now.name:
                names = [f"row {(was or now).number} was {was.name if was else 'absent'}"]  # type: ignore[union-attr]
                names.append(now.name if now else "gone")
                raise self._changed(" and is ".join(names))
            if self._was_written(change.range, was.number):
                raise self._changed(f"{now.place} is another")

    def _was_written(self, number: int, row: int) -> bool:
        earlier = earlier_results(self.journal.parts, number, inline=self.images is None)
        return isinstance(earlier.get(row), Written)

    def _changed(self, how: str) -> UsageError:
        return UsageError(
            f"the source has changed since the conversion into {self.root} began: {how} now; "
            f"pass --overwrite to begin anew"
        )


@contextmanager
def claimed(root: Path, header: Header, shape: Shape, *, overwrite: bool) -> Iterator[Output]:
    """Take an output folder for this process alone; nothing of the data in it is touched yet.

    It may be new, empty, or an unfinished conversion with the same header; with `overwrite` any conversion by the same
    converter. Raises UsageError for anything else, and when another process is converting into it; in the block a full
    disk becomes a DataError.
    """
    new = not root.exists()
    _check_ours(root, header.converter, overwrite=overwrite)
    try:
        root.mkdir(parents=True, exist_ok=True)
        journal = Journal(root / JOURNAL)
    except OSError as error:
        raise UsageError(f"{root} can not be written ({error.strerror}); choose another --out") from error
    try:
        _check_same(root, journal.header, header, overwrite=overwrite)
        if overwrite and journal.header is None:
            check_all_ours(root)
        shutil.rmtree(root / UNPACKED, ignore_errors=True)
        yield Output(root, journal, shape)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise DataError(
            f"{root} can not be written ({error.strerror}); make room and run the same command again, it continues"
        ) from error
    finally:
        if journal.header is None:
            journal.remove()
            if new:
                with suppress(OSError):  # an error is on its way already
                    root.rmdir()
        journal.close()


def _check_ours(root: Path, converter: str, *, overwrite: bool) -> None:
    """Refuse a folder of somebody else's, and a finished conversion that is not to be replaced."""
    if not root.exists():
        return
    if not root.is_dir():
        raise UsageError(f"{root} is a file; choose a folder for --out")
    names = {entry.name for entry in root.iterdir()}
    if MANIFEST in names:
        other = read_manifest(root).converter
        if other != converter:
            raise UsageError(f"{root} holds a conversion from {other}; choose another --out")
        if JOURNAL not in names and not overwrite:
            raise _finished(root)
    elif names and JOURNAL not in names:
        some = ", ".join(sorted(names)[:3])
        raise UsageError(f"{root} holds other files ({some}) and no conversion; choose a new or empty folder for --out")


def _check_same(root: Path, begun: Header | None, header: Header, *, overwrite: bool) -> None:
    """Refuse to go on with a conversion that was begun differently; a journal without a header was never begun."""
    if begun is None:
        if (root / MANIFEST).exists() and not overwrite:
            raise _finished(root)
    elif begun.converter != header.converter:
        raise UsageError(f"{root} holds an unfinished conversion from {begun.converter}; choose another --out")
    elif begun != header and not overwrite:
        raise UsageError(
            f"{root} holds an unfinished conversion that was begun with {begun.difference(header)}; "
            f"run it again as it was begun, or pass --overwrite to begin anew"
        )


def _finished(root: Path) -> UsageError:
    return UsageError(f"{root} holds a finished conversion; pass --overwrite to replace it, or choose another --out")
