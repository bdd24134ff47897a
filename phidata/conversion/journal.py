"""The journal of a conversion: what it was begun with and what became of each row, on disk as soon as it is known.

One JSON object a line: a header, then entries in the order in which rows were done. The process may die at any byte:
a last line without its end is dropped when the journal is opened again. Whoever has it open holds a lock on it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from phidata.conversion.outcome import Outcome
from phidata.errors import UsageError
from phidata.storage.manifest import Identity


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the bytes of the output depend on; a conversion is continued only by one with the same header.

    `options` are all of them by name, `images` and `folder` where things lie that have no other identity.
    """

    converter: str
    options: dict[str, Any]
    source: Identity
    folder: str | None
    images: str | None
    versions: dict[str, str]

    def difference(self, other: Header) -> str:
        """What this one has that the other has not, in words."""
        if (self.source, self.folder, self.images) != (other.source, other.folder, other.images):
            return "another source"
        mine, theirs = ({**header.options, **header.versions} for header in (self, other))
        return ", ".join(f"{name} {value}" for name, value in mine.items() if value != theirs.get(name))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the row with this number, in the order of the source; `content` tells it from an edited one."""

    number: int
    name: str
    content: str
    result: Outcome


_decode_header = msgspec.json.Decoder(Header).decode
_decode_entry = msgspec.json.Decoder(Entry).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)
_encode = msgspec.json.Encoder().encode


class Journal:
    """The open journal of one output folder. Raises UsageError when another process has it open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _open_locked(path)
        self._offsets: dict[int, int] = {}
        self.header: Header | None = None
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def start(self, header: Header) -> None:
        """Forget everything and begin anew."""
        os.ftruncate(self._descriptor, 0)
        self._end = 0
        self._offsets = {}
        self._append(_encode(header))
        os.fsync(self._descriptor)
        self.header = header

    def add(self, entry: Entry) -> None:
        """Write down what became of a row; the last entry of a row counts."""
        self._offsets[entry.number] = self._end
        self._append(_encode(entry))

    def __contains__(self, number: object) -> bool:
        return number in self._offsets

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._offsets))

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, number: int) -> Entry:
        """Read the entry of a row back from disk."""
        return _decode_entry(_line_at(self._descriptor, self._offsets[number]))

    def close(self) -> None:
        """Leave the journal for a conversion that continues, and give up the lock."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Remove the journal, while the lock is still held."""
        self.path.unlink()

    def _append(self, line: bytes) -> None:
        data = memoryview(line + b"\n")
        while data:
            written = os.pwrite(self._descriptor, data, self._end)
            self._end += written
            data = data[written:]

    def _read(self) -> None:
        """Find every whole line; cut off what follows the last one."""
        self._end = 0
        with open(self._descriptor, "rb", closefd=False) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                try:
                    self._take(line)
                except _UNREADABLE:
                    break  # what a power failure left of the entries
                self._end += len(line)
        os.ftruncate(self._descriptor, self._end)

    def _take(self, line: bytes) -> None:
        if self._end:
            self._offsets[_decode_entry(line).number] = self._end
            return
        try:
            self.header = _decode_header(line)
        except _UNREADABLE as error:
            raise UsageError(
                f"{self.path} is not a journal that this version of phidata can continue; remove {self.path.parent}"
            ) from error


def _open_locked(path: Path) -> int:
    """Open the journal, made when there is none, and lock it; the lock goes with the process, however it ends."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise UsageError(
                f"another process is converting into {path.parent}; wait for it or choose another --out"
            ) from error
        if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
        os.close(descriptor)  # its owner finished and removed it between our open and our lock


def _line_at(descriptor: int, offset: int) -> bytes:
    chunks = []
    while True:
        chunk = os.pread(descriptor, 1 << 16, offset)
        line, end, _ = chunk.partition(b"\n")
        chunks.append(line)
        if end or not chunk:
            return b"".join(chunks)
        offset += len(chunk)
