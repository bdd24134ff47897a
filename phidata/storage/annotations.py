"""Annotation files: JSON documents, and files of JSON records read one by one, each with the line where it stands."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from phidata.errors import DataError
from phidata.regular import check_regular
from phidata.storage.json_faults import reason, repeated_key

# What decoding JSON raises, RecursionError for brackets in brackets in brackets.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_BOM = b"\xef\xbb\xbf"
_WIDE = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_HEAD_BYTES = 1 << 12
_TEXT = rb'"(?:[^"\\]|\\.)*"'
_KEY = re.compile(rb"\s*[{,]\s*(" + _TEXT + rb")\s*:\s*", re.DOTALL)
_TOKEN = re.compile(_TEXT + rb"|[][{}]", re.DOTALL)


class Record(NamedTuple):
    """One JSON value of a file, undecoded, the line on which it begins, from 1, and the byte.

    No two records of a file have one line: where several begin on one, `line` is each record's place among all.
    """

    line: int
    data: bytes
    offset: int


class Item(NamedTuple):
    """One member of a document that is an object: its key, the line on which its value begins, the undecoded value."""

    key: str
    line: int
    data: bytes


class Entry(NamedTuple):
    """One JSON object of a file and its line, as a record's; `problem` says why there is none, then it is empty."""

    line: int
    value: dict[str, Any]
    problem: str | None = None


def json_records(path: Path, key: str | None = None) -> Iterator[Record]:
    """The records of a file of JSON lines, or the elements of a file that is one JSON list, whatever it is called.

    With a key those of the list that the document has under it. A file that is one object on several lines is one
    record. Blank lines are passed over. What stands in a record is not looked at. Raises DataError naming the file when
    it is UTF-16, is a list that is not JSON to its end, or has no list under the key.
    """
    with check_regular(path).open("rb") as file:
        head = file.read(_HEAD_BYTES)
    check_encoding(path, head)
    start = len(_BOM) if head.startswith(_BOM) else 0
    text = head[start:].lstrip()
    if key is not None:
        yield from _elements(path, key)
    elif text.startswith(b"["):
        yield from _elements(path, None)
    elif text.startswith(b"{") and not _ends_with_line(path, start) and is_json(path):
        whole = path.read_bytes()
        data = whole[start:].strip()
        yield Record(1, data, whole.find(data))
    else:
        with path.open("rb") as file:
            offset = file.seek(start)
            for number, line in enumerate(file, start=1):
                if data := line.strip():
                    yield Record(number, data, offset + line.find(data))
                offset += len(line)


def json_objects(path: Path, key: str | None = None) -> Iterator[Entry]:
    """The records of `json_records`, decoded; one that is no JSON object has a problem instead of a value."""
    return (read_entry(record.line, record.data) for record in json_records(path, key))


def read_entry(line: int, data: bytes) -> Entry:
    """Decode one record, in which no key may stand twice."""
    try:
        value = msgspec.json.decode(data)
        repeated = repeated_key(data, value) if isinstance(value, dict) else None
    except UnicodeDecodeError as error:
        return Entry(line, {}, f"it is not UTF-8 (byte 0x{error.object[error.start]:02x}); save the file as UTF-8")
    except (msgspec.MsgspecError, RecursionError) as error:
        return Entry(line, {}, f"it is not JSON ({reason(error, data)}); mend the file")
    if repeated is not None:
        return Entry(line, {}, f"it has the key {repeated!r} twice; mend the file")
    if isinstance(value, dict):
        return Entry(line, value)
    return Entry(line, {}, f"it is {kind_of(value)}, where an object is expected; mend the file")


def json_members(path: Path) -> Iterator[tuple[str, Entry]]:
    """The members of `json_items`, decoded likewise, each with its key."""
    return ((key, read_entry(line, data)) for key, line, data in json_items(path))


def json_items(path: Path) -> Iterator[Item]:
    """The members of a document that is one object: each key and its value, undecoded; nothing of another document.

    Raises DataError naming the file when it is not JSON to its end or not UTF-8, and for a key that comes twice.
    """
    data = _mapped(check_regular(path))
    check_encoding(path, data[:4])
    if not data[:_HEAD_BYTES].removeprefix(_BOM).lstrip().startswith(b"{"):
        return
    if _ends_with_line(path, 0) and not is_json(path):
        return  # JSON lines
    members = _decode(path, data, dict[str, msgspec.Raw])
    position, line = _start(data), 1
    for key, raw in members.items():
        value = bytes(raw)
        before = _KEY.match(data, position)
        if before is None or data[before.end() : before.end() + len(value)] != value:
            raise _repeated(path, data)  # of several members with one key the last is in `members`
        line += before[0].count(b"\n")
        yield Item(key, line, value)
        line += value.count(b"\n")
        position = before.end() + len(value)
    if data[position:].strip().removeprefix(b"{").strip() != b"}":
        raise _repeated(path, data)


def read_json(path: Path) -> Any:
    """One JSON document. Raises DataError naming the file when it is none, is cut short or is not UTF-8."""
    data = check_regular(path).read_bytes()
    check_encoding(path, data)
    return _decode(path, data, Any)


def json_keys(path: Path) -> tuple[str, ...]:
    """The keys of a document that is one object, those of the first record of any other file; nothing decoded else.

    Empty when that is no object. Raises DataError when it is not JSON, and as `json_records` does.
    """
    first = next(json_records(path), None)
    try:
        return tuple(msgspec.json.decode(first.data, type=dict[str, msgspec.Raw])) if first else ()
    except msgspec.ValidationError:
        return ()
    except UNREADABLE as error:
        line = first.line if first else 1
        why = reason(error, first.data if first else b"")
        raise DataError(f"{path.name}:{line} is not JSON ({why}); get the file again or mend it") from error


def first_keys(path: Path, *, under: str | None = None, members: bool = False) -> tuple[str, ...]:
    """The keys of the first record of a file, as `json_keys`; with `under` of the list that a document has under that
    key, with `members` of the first member of a document that is one object.

    Kept in memory as long as the file does not change. Raises DataError when it is not JSON.
    """
    stat = path.stat()
    return _first_keys(path, stat.st_size, stat.st_mtime_ns, under, members)


def is_json(path: Path) -> bool:
    """Whether a file is one JSON document."""
    try:
        msgspec.json.decode(path.read_bytes().removeprefix(_BOM), type=msgspec.Raw)
    except UNREADABLE:
        return False
    return True


def check_encoding(path: Path, head: bytes) -> None:
    """Raise DataError naming the file when its beginning says that it is not UTF-8."""
    if head[:2] in _WIDE or b"\0" in head[:4]:
        raise DataError(f"{path.name} is {_WIDE.get(head[:2], 'no text')}, where UTF-8 is expected; save it as UTF-8")


def kind_of(value: Any) -> str:
    """What a decoded value is, for a message: `a list`, `the number 7`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}" if value else "an empty text"
    if isinstance(value, bytes):
        return "bytes"
    names: dict[type, str] = {dict: "an object", list: "a list"}
    return names.get(type(value), f"a {type(value).__name__}")


@lru_cache(maxsize=1024)
def _first_keys(path: Path, _size: int, _changed: int, under: str | None, members: bool) -> tuple[str, ...]:
    if members:
        first = next((item.data for item in json_items(path)), b"null")
    elif under is None:
        return json_keys(path)
    else:
        listed = json_records(path, under) if under in json_keys(path) else iter(())
        first = next((record.data for record in listed), b"null")
    try:
        return tuple(msgspec.json.decode(first, type=dict[str, msgspec.Raw]))
    except UNREADABLE:
        return ()


def _ends_with_line(path: Path, start: int) -> bool:
    """Whether the first line of a file is JSON by itself."""
    with path.open("rb") as file:
        file.seek(start)
        first = next((line for line in file if line.strip()), b"").removeprefix(_BOM)
    try:
        msgspec.json.decode(first, type=msgspec.Raw)
    except UNREADABLE:
        return False
    return True


def _elements(path: Path, key: str | None) -> Iterator[Record]:
    data = _mapped(path)
    line, position = 1, _start(data)
    if key is None:
        elements = _decode(path, data, list[msgspec.Raw])
    else:
        inside = bytes(_decode(path, data, dict[str, msgspec.Raw]).get(key, msgspec.Raw(b"null")))
        found = data.find(inside, position)
        line += data[position:found].count(b"\n")
        position = found
        elements = _decode(path, inside, list[msgspec.Raw], f" under {key!r}")
    places: list[tuple[int, int]] = []
    for raw in elements:
        element = bytes(raw)
        found = data.find(element, position)
        line += data[position:found].count(b"\n")
        places.append((line, found))
        line += element.count(b"\n")
        position = found + len(element)
    share_lines = len({line for line, _ in places}) < len(places)
    for number, (raw, (line, found)) in enumerate(zip(elements, places, strict=True), start=1):
        yield Record(number if share_lines else line, bytes(raw), found)


def _repeated(path: Path, data: bytes | mmap.mmap) -> DataError:
    """The error for the first key of an object that comes again."""
    lines: dict[str, int] = {}
    depth, line, position = 0, 1, 0
    for token in _TOKEN.finditer(data):
        line += data[position : token.start()].count(b"\n")
        position = token.start()
        if token[0] in b"[{":
            depth += 1
        elif token[0] in b"]}":
            depth -= 1
        elif depth == 1 and data[token.end() : token.end() + _HEAD_BYTES].lstrip().startswith(b":"):
            key = msgspec.json.decode(token[0], type=str)
            if key in lines:
                return DataError(
                    f"{path.name}:{line}: the key {key!r} is that of line {lines[key]} too; give each row its own"
                )
            lines[key] = line
    return DataError(f"{path.name} is laid out otherwise than expected")


def _start(data: bytes | mmap.mmap) -> int:
    """Where the text of a file begins: after the mark of its encoding, if any."""
    return len(_BOM) if data[: len(_BOM)] == _BOM else 0


def _mapped(path: Path) -> bytes | mmap.mmap:
    """A file's bytes, mapped for as long as something refers to them."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""


def _decode(path: Path, data: bytes | mmap.mmap, kind: Any, where: str = "") -> Any:
    view = data[len(_BOM) :] if data[: len(_BOM)] == _BOM else data
    try:
        return msgspec.json.decode(view, type=kind)
    except msgspec.ValidationError as error:
        raise DataError(f"{path.name} is laid out otherwise than expected{where} ({error})") from error
    except UNREADABLE as error:
        raise DataError(f"{path.name} is not JSON to its end ({error}); get it again or mend it") from error
