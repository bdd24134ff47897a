"""A source at a URL, fetched: one object, or those below a folder, by requests that a killed process need not repeat.

The copy lies in a scratch folder:

    listing.json   what the store said of the objects when the fetching began
    fetched.jsonl  of each object that is here its md5 and its sha256, in the order of the listing
    files/…        the objects; behind those of fetched.jsonl may be one that is not whole
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from phidata.console import Progress, progress
from phidata.errors import DataError, UsageError
from phidata.storage.abreast import abreast
from phidata.storage.folder import leads_out
from phidata.storage.objects import is_folder, objects_below, tell
from phidata.storage.remote import REQUEST_BYTES, below, read_part, shown
from phidata.storage.scratch import Scratch
from phidata.storage.sink import new_file

FETCHES = 3  # of an object whose checksum is not the store's
_LISTING, _FETCHED, _FILES = "listing.json", "fetched.jsonl", "files"


class _Object(msgspec.Struct, frozen=True, array_like=True):
    name: str
    num_bytes: int
    stamp: str
    checksum: str | None


class _Sums(msgspec.Struct, frozen=True, array_like=True):
    md5: str
    sha256: str


class _Request(NamedTuple):
    """A part of an object: which of the listing, and the bytes from `begin` to before `end`."""

    number: int
    begin: int
    end: int


class SourceCopy:
    """The copy of what lies at a URL, whole when this is made; it stays until it is removed.

    The last part of the URL may be a pattern: `s3://bucket/birds/train-*.parquet`. Raises UsageError when nothing is
    there or the scratch folder can not be written, DataError when the store does not answer, when an object has a name
    that is no path, and when the objects have changed while they were read.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder_url, self.pattern = _split_pattern(url)
        self.is_file = self.pattern is None and not is_folder(url)
        self.objects = self._listed()
        self._scratch = Scratch(folder, "source", url, wait=True, shared=True)
        try:
            self.sums = self._known()
            if len(self.sums) < len(self.objects):
                self._scratch.close()
                self._scratch = Scratch(folder, "source", url, wait=True)
                self.sums = self._fetched()
                self._scratch.share()
        except BaseException:
            self._scratch.close()
            raise

    @property
    def path(self) -> Path:
        """The file, or the folder with the objects by their paths below the URL."""
        files = self._scratch.path / _FILES
        return files / self.objects[0].name if self.is_file else files

    @property
    def num_bytes(self) -> int:
        return sum(one.num_bytes for one in self.objects)

    @property
    def sha256(self) -> str:
        """Of the one object; of several that of their list, as `sha256sum` prints it, sorted by path."""
        if self.is_file:
            return self.sums[0].sha256
        pairs = zip(self.sums, self.objects, strict=True)
        return hashlib.sha256("".join(f"{sums.sha256}  {one.name}\n" for sums, one in pairs).encode()).hexdigest()

    def remove(self) -> None:
        """Give its room back, unless another process reads it."""
        self._scratch.remove()
        self._scratch.close()

    def close(self) -> None:
        """Leave it for the next; another process may remove it now."""
        self._scratch.close()

    def _listed(self) -> list[_Object]:
        """The one object under its own name, or those below the URL."""
        if self.is_file:
            found = {shown(self.url).rstrip("/").rpartition("/")[2]: tell(self.url)}
        else:
            found = objects_below(self.folder_url, self.pattern)
        if not found:
            raise UsageError(f"there is nothing at {shown(self.url)}; check the address")
        listed = [_Object(name, told.num_bytes, told.stamp, told.checksum) for name, told in found.items()]
        _check_names(self.url, listed)
        return listed

    def _known(self) -> list[_Sums]:
        """Of the same objects those that are here already."""
        with suppress(FileNotFoundError):
            if (self._scratch.path / _LISTING).read_bytes() == msgspec.json.encode(self.objects):
                with (self._scratch.path / _FETCHED).open("rb") as file:
                    return [msgspec.json.decode(line, type=_Sums) for line in file if line.endswith(b"\n")]
        return []

    def _fetched(self) -> list[_Sums]:
        """Fetch what is not here. What is here of other objects is removed."""
        known = self._known()
        if not known:
            self._begin()
        if len(known) < len(self.objects):
            with progress(self.num_bytes, f"fetch {shown(self.url)}", unit="byte") as bar:
                known = self._fetch_rest(known, bar)
            if self._listed() != self.objects:
                raise DataError(f"{shown(self.url)} has changed while it was read; run the same command again")
        return known

    def _begin(self) -> None:
        listing, encoded = self._scratch.path / _LISTING, msgspec.json.encode(self.objects)
        if listing.exists() and listing.read_bytes() == encoded:
            return  # a part of the first may be here
        _remove_all(self._scratch.path / _FILES)
        (self._scratch.path / _FETCHED).unlink(missing_ok=True)
        with new_file(listing) as new:
            new.write(encoded)

    def _fetch_rest(self, known: list[_Sums], bar: Progress) -> list[_Sums]:
        found = list(known)
        bar.update(sum(one.num_bytes for one in self.objects[: len(known)]))
        with (self._scratch.path / _FETCHED).open("wb") as log:
            log.writelines(msgspec.json.encode(sums) + b"\n" for sums in known)
            for sums in self._sums_from(len(known), bar):
                log.write(msgspec.json.encode(sums) + b"\n")
                log.flush()
                found.append(sums)
        return found

    def _sums_from(self, first: int, bar: Progress) -> Iterator[_Sums]:
        """Fetch the objects from the first that is not whole on, several parts at a time, each written in its turn."""
        begun = self._num_begun(first)
        bar.update(begun)
        requests = self._requests(first, begun)
        parts = abreast(self._read, requests)
        for number in range(first, len(self.objects)):
            one, path = self.objects[number], self._file(number)
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("r+b" if begun else "wb") as file:
                file.truncate(begun)
                writing = _Writing(file)
                while writing.num_bytes < one.num_bytes:
                    data = next(parts)
                    writing.add(data)
                    bar.update(len(data))
            yield self._certain(number, writing.sums())
            begun = 0

    def _num_begun(self, number: int) -> int:
        """How many bytes are here of an object that is not whole."""
        with suppress(FileNotFoundError):
            return min(self._file(number).stat().st_size, self.objects[number].num_bytes)
        return 0

    def _requests(self, first: int, begun: int) -> Iterator[_Request]:
        for number in range(first, len(self.objects)):
            total = self.objects[number].num_bytes
            for begin in range(begun, total, REQUEST_BYTES):
                yield _Request(number, begin, min(begin + REQUEST_BYTES, total))
            begun = 0

    def _read(self, part: _Request) -> bytes:
        return read_part(self._url(part.number), part.begin, part.end, total=self.objects[part.number].num_bytes)

    def _certain(self, number: int, sums: _Sums) -> _Sums:
        """The sums of an object that is here; one that is not as the store says is fetched again, until it comes twice
        alike: not all that looks like an md5 is one."""
        expected = self.objects[number].checksum
        if expected is None or "-" in expected:
            return sums
        for _ in range(FETCHES):
            if sums.md5 == expected:
                return sums
            with self._file(number).open("wb") as file:
                writing = _Writing(file)
                for part in self._requests(number, 0):
                    if part.number != number:
                        break
                    writing.add(self._read(part))
            before, sums = sums, writing.sums()
            if before == sums:
                return sums
        raise DataError(f"{shown(self._url(number))} comes as another each time; try again when the network is sound")

    def _url(self, number: int) -> str:
        return self.url if self.is_file else below(self.folder_url, self.objects[number].name)

    def _file(self, number: int) -> Path:
        return self._scratch.path / _FILES / self.objects[number].name


class _Writing:
    """A file being written: each part of it is on the disk before the next comes, so that its size tells what is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._md5, self._sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        self.num_bytes = 0
        while data := file.read(REQUEST_BYTES) if file.readable() else b"":
            self._take_in(data)

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._take_in(data)

    def sums(self) -> _Sums:
        return _Sums(self._md5.hexdigest(), self._sha256.hexdigest())

    def _take_in(self, data: bytes) -> None:
        self._md5.update(data)
        self._sha256.update(data)
        self.num_bytes += len(data)


def _split_pattern(url: str) -> tuple[str, str | None]:
    """The folder, and the pattern below it where there is one."""
    store, _, path = url.partition("://")
    if "*" not in path or store in ("http", "https"):
        return url, None
    parts = path.split("/")
    first = next(number for number, part in enumerate(parts) if "*" in part)
    return f"{store}://{'/'.join(parts[:first])}", "/".join(parts[first:])


def _check_names(url: str, objects: Sequence[_Object]) -> None:
    """Refuse what can not be a file here, or has no size."""
    names = {one.name for one in objects}
    for one in objects:
        parts = one.name.split("/")
        if leads_out(one.name) or not all(parts) or "." in parts:
            raise DataError(f"{shown(url)} has an object {one.name!r}, which is no path; copy it to another name")
        if above := next((path for path in _folders(parts) if path in names), None):
            raise DataError(
                f"{shown(url)} has objects {above!r} and {one.name!r}, of which one would have to lie in the other; "
                "copy one of them to another name"
            )
        if one.num_bytes < 0:
            raise DataError(f"{shown(url)} does not say how large it is; fetch it by other means and give the file")


def _folders(parts: Sequence[str]) -> Iterator[str]:
    return ("/".join(parts[:number]) for number in range(1, len(parts)))


def _remove_all(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
