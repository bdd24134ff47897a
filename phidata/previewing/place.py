"""Where a page may be written: over nothing but another page, and where a file can be made at all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from phidata.errors import UsageError
from phidata.storage.sink import stale_temporaries

_MARK = b'<meta name="generator" content="phidata preview">'
_HEAD_BYTES = 1024


def check_place(out: Path) -> None:
    """Raise UsageError when a page can not be written there, or when something else than a page would be lost."""
    try:
        if out.is_dir():
            raise UsageError(f"{out} is a folder; name the HTML file to write")
        if out.exists() and not (out.is_file() and _is_page(out)):
            raise UsageError(f"{out} exists and is no page of `phidata preview`; name another file to write")
        folder = next(folder for folder in out.absolute().parents if folder.exists())
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{out} can not be written ({error.strerror}); name another file to write") from error


def remove_unfinished(out: Path) -> None:
    """Remove the pages beside a page that were never finished, their writers having been killed."""
    for path in stale_temporaries(out.absolute().parent):
        with suppress(OSError):  # another user's
            if path.is_file() and _is_page(path):
                path.unlink()


def _is_page(path: Path) -> bool:
    """Whether a file begins as a page does, or is empty."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return not head or _MARK in head
