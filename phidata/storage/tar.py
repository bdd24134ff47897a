"""The members of a tar file: written the same for the same content, and found without reading what is in them.

The headers are those of POSIX.1-1988 (ustar). What other programs write is read too: longer names in the members
before (GNU's `L`, pax `path`), and sizes in base 256.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from phidata.errors import DataError

BLOCK = 512
END = bytes(2 * BLOCK)

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
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield from _scan(content, path)


def _scan(content: mmap.mmap, path: Path) -> Iterator[Member]:
    position, long_name = 0, None
    while (block := content[position : position + BLOCK]) != END[:BLOCK]:
        if len(block) < BLOCK:
            raise DataError(f"{path} is cut short: it ends without the two empty blocks of a tar; copy it again")
        kind, size = block[156:157], _size(block, path, position)
        begin = position + BLOCK
        if begin + size > len(content):
            raise DataError(
                f"{path} is cut short: the member at byte {position} has {size} bytes, "
                f"{len(content) - begin} of them are there; copy it again"
            )
        if kind == b"L":
            long_name = _text(content[begin : begin + size])
        elif kind == b"x":
            try:
                long_name = _pax_path(content[begin : begin + size]) or long_name
            except ValueError as error:
                raise _damage(path, position) from error
        else:
            if kind in _REGULAR:
                yield Member(long_name or _name(block), begin, size)
            long_name = None
        position = begin + size + -size % BLOCK


def _size(block: bytes, path: Path, position: int) -> int:
    """The size of a member, whose header has the right sum."""
    try:
        right = int(block[148:156].strip(b" \0"), 8) == sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if right:
            field = block[124:136]
            size = int.from_bytes(field[1:], "big") if field[0] == 0x80 else int(field.strip(b" \0") or b"0", 8)
            if size >= 0:
                return size
    except ValueError:
        pass
    raise _damage(path, position)


def _damage(path: Path, position: int) -> DataError:
    what = "is no tar file" if position == 0 else f"is damaged: what is at byte {position} is no header of a member"
    return DataError(f"{path} {what}; copy it again")


def _name(block: bytes) -> str:
    name, prefix = _text(block[:100]), _text(block[345:500])
    return f"{prefix}/{name}" if block[257:263] == b"ustar\0" and prefix else name


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
