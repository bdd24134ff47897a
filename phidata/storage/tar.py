"""The members of a tar file: written the same for the same content, and found without reading what is in them.

The headers are those of POSIX.1-1988 (ustar). What other programs write is read too: longer names in the members
before (GNU's `L`, pax `path`), and sizes in base 256.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from phidata.errors import DataError

BLOCK = 512
END = bytes(2 * BLOCK)

_MAX_NAME_BYTES = 1 << 20  # of what comes before a member and says its name
_PIECE_BYTES = 8 * BLOCK
_REGULAR = (b"0", b"\0", b"7")


class Member(NamedTuple):
    """A regular file in a tar: where its content begins, and how long it is."""

    name: str
    offset: int
    num_bytes: int


def header(name: str, num_bytes: int) -> bytes:
    """The header of a member that belongs to nobody and is as old as the epoch; `name` is ASCII, 100 bytes at most."""
    assert len(name) <= 100
    block = bytearray(BLOCK)
    block[: len(name)] = name.encode("ascii")
    block[100:156] = b"%07o\0%07o\0%07o\0%011o\0%011o\0        " % (0o644, 0, 0, num_bytes, 0)
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padding(num_bytes: int) -> bytes:
    """What follows the content of a member, up to the next header."""
    return bytes(-num_bytes % BLOCK)


def members(path: Path) -> Iterator[Member]:
    """The regular files of a tar, in their order.

    Raises DataError, which says where, for a tar that is cut short or damaged.
    """
    num_bytes = path.stat().st_size
    if num_bytes < BLOCK:
        raise DataError(f"{path} is no tar file: it has {num_bytes} bytes; copy it again")
    with path.open("rb", buffering=0) as file:
        yield from _scan(_Blocks(file.fileno(), os.fstat(file.fileno()).st_size), path)


def is_size(block: bytes, num_bytes: int) -> bool:
    """Whether a header says that its member has so many bytes."""
    try:
        return _size_field(block) == num_bytes
    except ValueError:
        return False


class _Blocks:
    """What stands in a file, read in small pieces: the headers of a row often lie beside each other."""

    def __init__(self, descriptor: int, num_bytes: int) -> None:
        self.num_bytes = num_bytes
        self._descriptor = descriptor
        self._piece, self._begin = b"", 0

    def at(self, position: int) -> bytes:
        """The block that begins there; less where the file ends."""
        place = position - self._begin
        if not 0 <= place <= len(self._piece) - BLOCK:
            self._piece, self._begin = os.pread(self._descriptor, _PIECE_BYTES, position), position
            place = 0
        return self._piece[place : place + BLOCK]

    def content(self, begin: int, num_bytes: int) -> bytes:
        return os.pread(self._descriptor, num_bytes, begin)


def _scan(blocks: _Blocks, path: Path) -> Iterator[Member]:
    position, long_name = 0, None
    while (block := blocks.at(position)) != END[:BLOCK]:
        if len(block) < BLOCK:
            raise DataError(f"{path} is cut short: it ends without the two empty blocks of a tar; copy it again")
        kind, size = block[156:157], _plain_size(block)
        if size is None:
            size = _size(block, path, position)
        begin = position + BLOCK
        if begin + size > blocks.num_bytes:
            raise DataError(
                f"{path} is cut short: the member at byte {position} has {size} bytes, "
                f"{blocks.num_bytes - begin} of them are there; copy it again"
            )
        if kind in (b"L", b"x") and size > _MAX_NAME_BYTES:
            raise _damage(path, position)
        if kind == b"L":
            long_name = _text(blocks.content(begin, size))
        elif kind == b"x":
            try:
                long_name = _pax_path(blocks.content(begin, size)) or long_name
            except ValueError as error:
                raise _damage(path, position) from error
        else:
            if kind in _REGULAR:
                yield Member(long_name or _name(block), begin, size)
            long_name = None
        position = begin + size + -size % BLOCK


_PLAIN = header("", 0)
_PLAIN_SUM = int(_PLAIN[148:154], 8) - sum(_PLAIN[124:136])


def _plain_size(block: bytes) -> int | None:
    """The size of a member whose header is as `header` writes it, but for its name; None for another or a wrong sum.

    Most are such, and of those only the bytes that differ need to be summed.
    """
    if block[100:124] != _PLAIN[100:124] or block[136:148] != _PLAIN[136:148] or block[154:] != _PLAIN[154:]:
        return None
    if not (block[124:135].isdigit() and block[148:154].isdigit()):
        return None
    try:
        size, right = int(block[124:135], 8), int(block[148:154], 8)
    except ValueError:
        return None
    return size if right == _PLAIN_SUM + sum(block[:100].rstrip(b"\0")) + sum(block[124:136]) else None


def _size(block: bytes, path: Path, position: int) -> int:
    """The size of a member, whose header has the right sum."""
    try:
        right = int(block[148:156].strip(b" \0"), 8) == sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if right:
            size = _size_field(block)
            if size >= 0:
                return size
    except ValueError:
        pass
    raise _damage(path, position)


def _size_field(block: bytes) -> int:
    field = block[124:136]
    return int.from_bytes(field[1:], "big") if field[:1] == b"\x80" else int(field.strip(b" \0") or b"0", 8)


def _damage(path: Path, position: int) -> DataError:
    what = "is no tar file" if position == 0 else f"is damaged: what is at byte {position} is no header of a member"
    return DataError(f"{path} {what}; copy it again")


def _name(block: bytes) -> str:
    name = _text(block[:100])
    has_prefix = block[345] and block[257:263] == b"ustar\0"
    return f"{_text(block[345:500])}/{name}" if has_prefix else name


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _pax_path(records: bytes) -> str | None:
    """The value of the last `path` among records of the form `<length> <key>=<value>\\n`.

    Raises ValueError when there is something else among them.
    """
    found: str | None = None
    while records := records.lstrip(b"\0"):
        length = int(records.partition(b" ")[0])
        record, records = records[:length], records[max(length, 0) :]
        _, blank, pair = record.partition(b" ")
        key, equals, value = pair.partition(b"=")
        if len(record) != length or not (blank and equals and value.endswith(b"\n")):
            raise ValueError(f"no record of {length} bytes")
        if key == b"path":
            found = value[:-1].decode("utf-8", "surrogateescape")
    return found
