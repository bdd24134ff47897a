"""A file that is written before its name is known: the number of shards, which is in their names, comes last."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from itertools import count
from pathlib import Path

from phidata.storage.room import naming

_numbers = count()


class UnnamedFile:
    """A new file under a temporary name, as `sink.remove_temporaries` knows them, and the sha256 of what goes into it.

    Many can be open in one folder. `path` is where it lies for now. A full disk is an OSError that names the folder. It
    has what Arrow needs of a Python file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f".{os.getpid():010d}{next(_numbers):06d}.tmp"
        self._file = self.path.open("wb")
        self._hash = hashlib.sha256()
        self.num_bytes = 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        try:
            self.num_bytes += self._file.write(data)
        except OSError as error:  # as `naming` does it, at a tenth of the time
            error.filename = error.filename or str(self.path.parent)
            raise
        return memoryview(data).nbytes

    def tell(self) -> int:
        return self.num_bytes

    def flush(self) -> None:
        self._file.flush()

    @property
    def closed(self) -> bool:
        return self._file.closed

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        """End the file; the disk has it when this returns."""
        if not self._file.closed:
            with naming(self.path.parent):
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()

    def take_name(self, final: Path) -> None:
        """Give the file its name, in the folder where it lies or another of the same disk."""
        self.close()
        final.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(final)

    def discard(self) -> None:
        with suppress(OSError):  # it writes what is left in its buffer, perhaps on a disk that is full
            self._file.close()
        self.path.unlink(missing_ok=True)
