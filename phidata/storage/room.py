"""A full disk, told in one sentence that names what did not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phidata.errors import DISK_FULL, DataError


@contextmanager
def naming(place: Path) -> Iterator[None]:
    """In the block, which writes a file, a full disk is an OSError that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL and error.filename is None:
            error.filename = str(place)
        raise


@contextmanager
def needing_room() -> Iterator[None]:
    """In the block a full disk becomes a DataError, where the error names a place: else it is standard output."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL or error.filename is None:
            raise
        raise DataError(
            f"{error.filename} can not be written ({error.strerror}); make room and run the same command again"
        ) from error
