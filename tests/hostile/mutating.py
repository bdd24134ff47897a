"""Bytes and JSON changed by chance: the same for the same seed and number."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

PIECES = (
    *(b"\0", b"\xff", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\r", b"\t", b" ", b"\x7f", b"\x1b"),
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"01", b"true", b"null", b"//", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc0\x80"),
    *(b"\\u0000", b"\\ud800", b"\\ud83d\\ude00", b"\\x", b"\xed\xa0\x80", b"<|end|>", b"../", b"/", b"\xe2\x80\xa8"),
    *(b'"id":', b'"images":[],', b'"user":7,', b'{"a":1,"a":2}', b"9" * 400, b"[" * 600, b"]" * 600, b"[[" * 30_000),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**63, 2**64, -(2**70), 10**400, 1e308, "", " ", "\0", "\u2028", "\ud800", "﻿"),
    *("../x", "/etc/passwd", "http://x/y.png", "data:,x", "data:image/png;base64,iVBORw0K", "a\\b", "C:\\x"),
    *("x" * 70_000, "<image>", "<|image_1|>", "<script>", "NaN", "\x1b[2J", [], {}, [[]], [""], [None], {"": None}),
    {"a": {"b": []}},
)  # fmt: skip
DEEP = 2000  # lists in lists


def mutated(data: bytes, chance: Random) -> bytes:
    """The same bytes with one to four changes: bits, bytes, pieces, ranges cut out, doubled, moved or cut off."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        chance.choice(CHANGES)(content, chance)
    return bytes(content)


def mutated_json(data: bytes, chance: Random) -> bytes:
    """JSON, or one line of JSON lines, with values replaced, removed, renamed or doubled; or else changed bytes."""
    if chance.random() < 0.4:
        return mutated(data, chance)
    lines = data.splitlines(keepends=True)
    number = 0 if not _is_json(lines[0]) else chance.randrange(len(lines))
    whole = number == 0 and not _is_json(lines[0])
    value = json.loads(data if whole else lines[number])
    for _ in range(chance.choice((1, 1, 2))):
        _change(value, chance)
    text = _dumped(value, chance)
    if whole:
        return text
    lines[number] = text + b"\n"
    return b"".join(lines)


def _flip(content: bytearray, chance: Random) -> None:
    if content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def _set(content: bytearray, chance: Random) -> None:
    if content:
        content[chance.randrange(len(content))] = chance.choice((0, 255, 127, 128, chance.randrange(256)))


def _number(content: bytearray, chance: Random) -> None:
    """Four bytes that are a large, a small or a negative number."""
    at = chance.randrange(len(content) + 1)
    value = chance.choice((0, 1, 255, 1 << 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, chance.getrandbits(32)))
    content[at : at + 4] = value.to_bytes(4, chance.choice(("little", "big")))


def _insert(content: bytearray, chance: Random) -> None:
    at = chance.randrange(len(content) + 1)
    content[at:at] = chance.choice(PIECES)


def _replace(content: bytearray, chance: Random) -> None:
    at, piece = chance.randrange(len(content) + 1), chance.choice(PIECES)
    content[at : at + len(piece)] = piece


def _remove(content: bytearray, chance: Random) -> None:
    begin, end = _range(content, chance)
    del content[begin:end]


def _double(content: bytearray, chance: Random) -> None:
    begin, end = _range(content, chance)
    at = chance.randrange(len(content) + 1)
    content[at:at] = content[begin:end]


def _cut(content: bytearray, chance: Random) -> None:
    del content[chance.randrange(len(content) + 1) :]


CHANGES: Sequence[Callable[[bytearray, Random], None]] = (
    *(_flip, _flip, _set, _set, _number, _insert, _insert, _replace, _remove, _double, _cut),
)


def _range(content: bytearray, chance: Random) -> tuple[int, int]:
    begin = chance.randrange(len(content) + 1)
    return begin, min(len(content), begin + chance.choice((1, 1, 4, 64, len(content))))


def _change(value: Any, chance: Random) -> None:
    """Change something in a JSON value, where it has something in it."""
    place = chance.choice(_containers(value) or [[]])
    keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
    if not keys:
        return
    key = chance.choice(keys)
    match chance.randrange(6):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[chance.choice(("", "id", "x" * 300, "metadata", "\0", key.upper()))] = place.pop(key)
        case 2:
            place[key] = _wrapped(place[key], chance)
        case _:
            place[key] = chance.choice(VALUES)


def _wrapped(value: Any, chance: Random) -> Any:
    return chance.choice(([value], [value, value], {"value": value}, str(value), json.dumps(value)))


def _containers(value: Any) -> list[Any]:
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    here = [value] if isinstance(value, (dict, list)) and value else []
    return here + [found for item in inside for found in _containers(item)]


def _dumped(value: Any, chance: Random) -> bytes:
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5)
    match chance.randrange(12):
        case 0 if isinstance(value, dict) and value:
            text = text[:-1] + f", {json.dumps(next(iter(value)))}: null}}"  # a key twice
        case 1:
            text = text.replace("null", "[" * DEEP + "]" * DEEP, 1)
    return text.encode("utf-8", chance.choice(("surrogatepass", "replace")))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
