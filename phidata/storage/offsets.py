"""Where the pieces of a large file begin, found once and kept in a cache from one opening to the next.

The cache is `$PHIDATA_CACHE`, else `phidata` in `$XDG_CACHE_HOME`, else `~/.cache/phidata`: nothing is written beside
the data, which may be read-only or listed by a manifest. Offsets that are kept are those of a file of the same path,
size, times of change and sampled content; whoever uses them should still look whether they lead to what they promise.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from phidata.storage.unnamed import UnnamedFile

if TYPE_CHECKING:
    from array import array
    from io import FileIO

    import numpy as np
    import numpy.typing as npt

    Scan: TypeAlias = Callable[[], Iterable[npt.NDArray[np.int64] | array[int]]]

KEPT_FROM = 1 << 20  # bytes of a file: a smaller one is scanned as fast
SETTLED_S = 2.0  # a file that changed later than this before it was scanned could change again within the clock's grain

_MAGIC = b"phidata1"
_TAIL_BYTES = 8 + len(_MAGIC)
_MAPPED_FROM = 1 << 20  # bytes of offsets: fewer are read, for a map keeps a file open
_NUM_SAMPLES, _SAMPLE_BYTES = 4, 4096
_FORGOTTEN_S = 86_400.0  # after which an unfinished file is nobody's any more


@dataclass(frozen=True, kw_only=True)
class Offsets:
    """Numbers of 64 bits. `is_kept` when they come from the cache, and are not what was just found in the file."""

    numbers: memoryview[int]
    is_kept: bool


class _Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one content of a file from another without reading all of it."""

    path: bytes
    num_bytes: int
    modified_ns: int
    changed_ns: int  # which no program can set, unlike the time of modification
    samples: str


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    """What stands behind kept offsets, so that a file that is cut has none."""

    kind: str
    count: int
    byteorder: str
    crc32: int
    file: _Identity


def find_offsets(path: Path, kind: str, scan: Scan, *, is_summed: bool = False) -> Offsets:
    """The offsets that `scan` finds in a file, or those that it found before; of a small file always the former.

    `kind` says what they are. With `is_summed` all that is kept is looked at, which pays where that is little. They
    are kept when the cache can be written, the file is large, and it has not changed just now or meanwhile. Memory: 8
    bytes an offset, or next to nothing where they are kept.
    """
    folder = cache_folder()
    if folder is None or path.stat().st_size < KEPT_FROM:
        return Offsets(numbers=scanned(scan), is_kept=False)
    kept = _place(folder, path, kind)
    identity = _identity(path)
    if (numbers := _read(kept, kind, identity, is_summed=is_summed)) is not None:
        return Offsets(numbers=numbers, is_kept=True)
    if time.time() - identity.changed_ns / 1e9 >= SETTLED_S and _write(kept, kind, scan, path, identity):
        numbers = _read(kept, kind, identity, is_summed=is_summed)
    if numbers is None:
        return Offsets(numbers=scanned(scan), is_kept=False)
    return Offsets(numbers=numbers, is_kept=True)


def scanned(scan: Scan) -> memoryview[int]:
    """The offsets that a scan finds, in memory."""
    numbers = bytearray()
    for part in scan():
        numbers += part.tobytes()
    return memoryview(numbers).cast("q")


def forget_offsets(path: Path, kind: str) -> None:
    """Remove what is kept of a file, for it has turned out to be wrong."""
    if folder := cache_folder():
        with suppress(OSError):
            _place(folder, path, kind).unlink()


def cache_folder() -> Path | None:
    """Where phidata keeps what it can make again; None for a user without a home."""
    if named := os.environ.get("PHIDATA_CACHE"):
        return Path(named)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared, "phidata")
    try:
        return Path("~/.cache/phidata").expanduser()
    except RuntimeError:
        return None


def _place(folder: Path, path: Path, kind: str) -> Path:
    return folder / "offsets" / f"{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]}.{kind}"


def _identity(path: Path) -> _Identity:
    with path.open("rb", buffering=0) as file:
        stat = os.fstat(file.fileno())
        samples = hashlib.blake2b(digest_size=16)
        for number in range(_NUM_SAMPLES):
            begin = max(0, stat.st_size - _SAMPLE_BYTES) * number // (_NUM_SAMPLES - 1)
            samples.update(os.pread(file.fileno(), _SAMPLE_BYTES, begin))
    return _Identity(
        path=os.fsencode(path.absolute()),
        num_bytes=stat.st_size,
        modified_ns=stat.st_mtime_ns,
        changed_ns=stat.st_ctime_ns,
        samples=samples.hexdigest(),
    )


def _write(kept: Path, kind: str, scan: Scan, path: Path, identity: _Identity) -> bool:
    """Keep what a scan finds; False when it can not be kept, or when the file has changed meanwhile."""
    try:
        _forget_lost(kept.parent)
        file = UnnamedFile(kept.parent)
    except OSError:
        return False
    try:
        crc32 = 0
        for part in scan():
            numbers = part.tobytes()
            file.write(numbers)
            crc32 = zlib.crc32(numbers, crc32)
        note = _Note(kind=kind, count=file.num_bytes // 8, byteorder=sys.byteorder, crc32=crc32, file=identity)
        text = msgspec.json.encode(note)
        file.write(text + len(text).to_bytes(8, "little") + _MAGIC)
        if _identity(path) != identity:
            return False
        file.take_name(kept)
    except OSError:
        return False
    finally:
        file.discard()
    return True


def _read(kept: Path, kind: str, identity: _Identity, *, is_summed: bool) -> memoryview[int] | None:
    """What is kept of a file; None when that is nothing, something else, or cut."""
    try:
        with kept.open("rb", buffering=0) as file:
            note = _note_of(file)
            if note is None or note.kind != kind or note.byteorder != sys.byteorder or note.file != identity:
                return None
            numbers = _numbers(file, 8 * note.count)
    except OSError:
        return None
    return None if is_summed and zlib.crc32(numbers) != note.crc32 else numbers.cast("q")


def _numbers(file: FileIO, num_bytes: int) -> memoryview:
    if num_bytes < _MAPPED_FROM:
        return memoryview(os.pread(file.fileno(), num_bytes, 0))
    return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))[:num_bytes]


def _note_of(file: FileIO) -> _Note | None:
    num_bytes = os.fstat(file.fileno()).st_size
    tail = os.pread(file.fileno(), _TAIL_BYTES, max(0, num_bytes - _TAIL_BYTES))
    length = int.from_bytes(tail[:8], "little")
    begin = num_bytes - _TAIL_BYTES - length
    if tail[8:] != _MAGIC or begin < 0:
        return None
    try:
        note = msgspec.json.decode(os.pread(file.fileno(), length, begin), type=_Note)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return note if 8 * note.count == begin else None


def _forget_lost(folder: Path) -> None:
    """Remove the offsets of files that are gone, and what processes that were killed have left."""
    for path in folder.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
                path.unlink()
    for path in folder.glob("[0-9a-f]*.*"):
        with suppress(FileNotFoundError):
            with path.open("rb", buffering=0) as file:
                note = _note_of(file)
            if note is None or not Path(os.fsdecode(note.file.path)).exists():
                path.unlink()
