"""Annotation files: JSON documents, and files of JSON records read one by one, each with the line where it stands."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from phidata.errors import DataError

_BOM = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """One JSON value of a file, undecoded, and the line on which it begins, from 1."""

    line: int
    data: bytes


def json_records(path: Path) -> Iterator[Record]:
    """The records of a file of JSON lines, or the elements of a file that is one JSON list, whatever it is called.

    Blank lines are passed over. What stands in a record is not looked at. Raises DataError naming the file for a list
    that is not JSON to its end.
    """
    with path.open("rb") as file:
        first = file.read(len(_BOM))
        start = len(_BOM) if first == _BOM else 0
        file.seek(start)
        head = file.read(64).lstrip()
        file.seek(start)
        if head.startswith(b"["):
            yield from _elements(path)
            return
        for number, line in enumerate(file, start=1):
            if data := line.strip():
                yield Record(number, data)


def read_json(path: Path) -> Any:
    """One JSON document. Raises DataError naming the file when it is none, is cut short or is not UTF-8."""
    return _decode(path, path.read_bytes(), Any)


def _elements(path: Path) -> Iterator[Record]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = len(_BOM) if data[: len(_BOM)] == _BOM else 0
        line, position = 1, start
        for raw in _decode(path, data, list[msgspec.Raw]):
            element = bytes(raw)
            found = data.find(element, position)
            line += data[position:found].count(b"\n")
            yield Record(line, element)
            line += element.count(b"\n")
            position = found + len(element)


def _decode(path: Path, data: bytes | mmap.mmap, kind: Any) -> Any:
    view = data[len(_BOM) :] if data[: len(_BOM)] == _BOM else data
    try:
        return msgspec.json.decode(view, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} is not JSON to its end ({error}); get it again or mend it") from error
