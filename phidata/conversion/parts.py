"""The part of an output that one range of rows makes: every row of it with what became of it, and, where images are not
files, with their bytes.

One JSON object a line, for each row in order; the bytes of a row's images follow its line. The last line counts them.
A part that is being made has another name, which is nobody else's, and whoever was making it may die at any byte: the
whole rows in it are taken over by the next. A part that has its name is whole, and on disk.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from phidata.conversion.outcome import Failed, Outcome, Written
from phidata.errors import DataError

PARTS_A_FOLDER = 1000
_COPIED_BYTES = 1 << 20
COUNTS_BYTES = 64  # of the last line, filled up with spaces: what stands before it may be an image


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the row with this number, in the order of the source."""

    number: int
    result: Outcome


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The last line of a part: how many of its rows were written, and how many failed."""

    written: int
    failed: int


class Stored(NamedTuple):
    """An entry where it was found, and where the bytes of its images begin."""

    entry: Entry
    path: Path
    offset: int


_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_counts = msgspec.json.Decoder(Counts).decode
_encode = msgspec.json.Encoder().encode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def part_path(folder: Path, number: int) -> Path:
    """Where the part of a range lies when it is whole."""
    return folder / f"{number // PARTS_A_FOLDER:03}" / f"{number:06}.part"


class Part:
    """The part of one range being made; what was begun of it before is at hand.

    `inline` where images lie in the part. What the workers of the same `pool` have begun stands in it already: they
    have died since, and all that they wrote is there. Raises OSError when the disk does not take it, and when the
    folder is gone: then the conversion has ended without this worker.
    """

    def __init__(self, folder: Path, number: int, *, inline: bool, pool: str) -> None:
        self._final = part_path(folder, number)
        self._inline = inline
        self.num_done = self._written = self._failed = 0
        self._final.parent.mkdir(exist_ok=True)
        self._begun = list(_begun(self._final))
        self._path = self._final.with_suffix(f".{pool}-{secrets.token_hex(4)}.partial")
        self._file = open(self._path, "xb", buffering=0)  # noqa: PTH123, SIM115 - each row is there at once
        for path in [path for path in self._begun if path.suffixes[0].startswith(f".{pool}-")]:
            self._continue(path)

    def _continue(self, begun: Path) -> None:
        """Take over the rows of an unfinished part as they stand, and remove it; of several the first has any."""
        if not self.num_done:
            entries = [(stored.entry.result, end) for stored, end in _whole_entries(begun, inline=self._inline)]
            with begun.open("rb") as file:
                _copy(file, self._file, entries[-1][1] if entries else 0)
            for result, _ in entries:
                self._count(result)
        self._begun.remove(begun)
        begun.unlink(missing_ok=True)

    def earlier(self) -> dict[int, Stored]:
        """The rows that are whole in what was begun before, by their numbers."""
        return _earlier((*self._begun, self._final), inline=self._inline)

    def add(self, entry: Entry, images: Mapping[str, bytes]) -> None:
        """Write a row, and the bytes of its images where they lie here."""
        _write(self._file, b"".join((_encode(entry), b"\n", *(images.values() if self._inline else ()))))
        self._count(entry.result)

    def _count(self, result: Outcome) -> None:
        self.num_done += 1
        if isinstance(result, Written):
            self._written += 1
        else:
            self._failed += 1

    def finish(self) -> Counts:
        """Give the part its name, when the disk has it."""
        counts = Counts(written=self._written, failed=self._failed)
        _write(self._file, _encode(counts).ljust(COUNTS_BYTES - 1) + b"\n")
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.replace(self._final)
        for path in self._begun:
            path.unlink(missing_ok=True)
        return counts

    def close(self) -> None:
        """Leave it as it is, for whoever makes it next."""
        self._file.close()


def earlier_results(folder: Path, number: int, *, inline: bool) -> dict[int, Outcome]:
    """What became of the rows of a range that were done before, by their numbers."""
    final = part_path(folder, number)
    found = _earlier((*_begun(final), final), inline=inline)
    return {row: stored.entry.result for row, stored in found.items()}


def read_counts(path: Path) -> Counts | None:
    """The last line of a part that is whole; None when there is no such part."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - COUNTS_BYTES))
            return _decode_counts(file.read())
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        raise damaged(path) from error


def read_part(path: Path, *, inline: bool) -> Iterator[tuple[Entry, list[bytes]]]:
    """The rows of a part that is whole, in their order, with the bytes of their images where they lie in it.

    Raises DataError when the file is damaged.
    """
    with path.open("rb") as file:
        while line := file.readline():
            try:
                entry = _decode_entry(line)
            except _UNREADABLE as error:
                if file.read(1):
                    raise damaged(path) from error
                return  # the counts
            yield entry, _images(file, entry, path) if inline else []


def read_entries(path: Path, *, inline: bool) -> Iterator[Entry]:
    """The same without images, which are not read."""
    with path.open("rb") as file:
        for entry, offset in _entries(file, inline=inline):
            yield entry
            file.seek(offset)


def stored_images(stored: Stored) -> dict[str, bytes] | None:
    """The images of a row by path, out of a part that holds them; None when they are not those that were written."""
    assert isinstance(stored.entry.result, Written)
    found: dict[str, bytes] = {}
    with stored.path.open("rb") as file:
        file.seek(stored.offset)
        for image in stored.entry.result.images:
            found[image.path] = data = file.read(image.num_bytes)
            if hashlib.sha256(data).hexdigest() != image.sha256:
                return None
    return found


def _earlier(paths: Iterable[Path], *, inline: bool) -> dict[int, Stored]:
    found: dict[int, Stored] = {}
    for path in paths:
        if path.exists():
            found.update((stored.entry.number, stored) for stored, _ in _whole_entries(path, inline=inline))
    return found


def _begun(final: Path) -> Iterator[Path]:
    return final.parent.glob(f"{final.stem}.*.partial")


def _copy(source: BinaryIO, target: BinaryIO, num_bytes: int) -> None:
    while num_bytes:
        data = source.read(min(num_bytes, _COPIED_BYTES))
        _write(target, data)
        num_bytes -= len(data)


def _whole_entries(path: Path, *, inline: bool) -> Iterator[tuple[Stored, int]]:
    """The entries up to the first that is not whole, and where each ends."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for entry, end in _entries(file, inline=inline):
            if end > size:
                return
            yield Stored(entry, path, file.tell()), end
            file.seek(end)


def _entries(file: BinaryIO, *, inline: bool) -> Iterator[tuple[Entry, int]]:
    """Each entry, and where the next one begins; the caller goes there."""
    while (line := file.readline()).endswith(b"\n"):
        try:
            entry = _decode_entry(line)
        except _UNREADABLE:
            return
        yield entry, file.tell() + (_num_bytes(entry.result) if inline else 0)


def _num_bytes(result: Outcome) -> int:
    return 0 if isinstance(result, Failed) else sum(image.num_bytes for image in result.images)


def _images(file: BinaryIO, entry: Entry, path: Path) -> list[bytes]:
    if isinstance(entry.result, Failed):
        return []
    found = [file.read(image.num_bytes) for image in entry.result.images]
    if any(len(data) != image.num_bytes for data, image in zip(found, entry.result.images, strict=True)):
        raise damaged(path)
    return found


def damaged(path: Path) -> DataError:
    """What is raised for a part of which something is missing."""
    return DataError(f"{path} is damaged; remove it and run the same command again, its rows are converted anew")


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def remove_part(path: Path) -> None:
    """Give the room of a part back."""
    with suppress(FileNotFoundError):
        path.unlink()
