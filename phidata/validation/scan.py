"""JSON with the place of each value: what a plain parser can not tell and a finding needs.

The grammar is RFC 8259's. What can be read past is read past and noted, so that one line gives all its findings:
duplicate keys, bad escapes, control characters, NaN and Infinity. A fault in the grammar itself ends the scan.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from phidata.diagnostics import Rule, line_rules
from phidata.diagnostics.excerpt import quoted

MAX_DEPTH = 64
DELETE_COMMA = "delete the comma"

Path = tuple[str | int, ...]
Span = tuple[int, int]

_FREE = ("metadata",)  # can be large, and the schema says nothing about what is inside
_SPACE = re.compile(r"[ \t\n\r\x00]*")  # a NUL byte is no space, but it has a rule of its own
_STRING = re.compile(r'"([^"\\\x00-\x1f]*)"')
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PARTIAL_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?")
_WORD = re.compile(r"[-+.\w]+")
_HEX = re.compile(r"\\u([0-9a-fA-F]{4})")
_PARTIAL_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"true": True, "false": False, "null": None}
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_HINTS = {
    "'": "strings and keys take double quotes",
    "True": "JSON writes true, in small letters",
    "False": "JSON writes false, in small letters",
    "None": "JSON writes null",
    "/": "JSON has no comments",
    "#": "JSON has no comments",
    "“": "strings and keys take straight double quotes",
    "\ufeff": "this is a byte order mark; delete it",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something wrong at `text[start:end]`, in the value at `path`. `help`, where given, replaces the rule's remedy."""

    rule: Rule
    start: int
    end: int
    path: Path
    message: str
    help: str = ""


@dataclass(kw_only=True)
class Scan:
    """One line, read as far as it can be read.

    `spans` and `keys` say where each value, and each key of an object, stands in the text, except for what is inside
    the row's metadata; where a key stands twice they and `value` have the last, and `repeated` tells by the start of a
    later key where the member before it stands. `value` is only whole when `complete` is set. `cut_short` means that
    the text is the beginning of something right.
    """

    value: Any = None
    spans: dict[Path, Span] = field(default_factory=dict)
    keys: dict[Path, Span] = field(default_factory=dict)
    repeated: dict[int, Span] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    complete: bool = False
    cut_short: bool = False


def scan(text: str) -> Scan:
    """Read one line. Never raises, whatever the text is."""
    scanner = _Scanner(text)
    try:
        scanner.result.value, position = scanner.value(scanner.space(0), ())
        scanner.result.complete = True
        position = scanner.space(position)
        if position < len(text):
            message = f"the row ends before this; found {scanner.found(position)} after it"
            scanner.fault(line_rules.SEVERAL_VALUES, position, len(text.rstrip(" \t\n\r")), (), message)
    except _EndOfScan:
        pass
    return scanner.result


class _EndOfScan(Exception):
    """The grammar is broken: nothing behind this place can be understood."""


class _Scanner:
    """Recursive descent; each method takes the position where its value starts and returns where it ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.result = Scan()

    def value(self, start: int, path: Path) -> tuple[Any, int]:
        value: Any
        first = self.text[start : start + 1]
        if first == '"':
            value, end = self.string(start, path)
        elif first == "{":
            value, end = self.object(start, path)
        elif first == "[":
            value, end = self.array(start, path)
        else:
            value, end = self.scalar(start, path)
        if path[:1] != _FREE or len(path) == 1:
            self.result.spans[path] = (start, end)
        return value, end

    def object(self, start: int, path: Path) -> tuple[dict[str, Any], int]:
        self.check_depth(start, path)
        members: dict[str, Any] = {}
        spans: dict[str, Span] = {}
        firsts: dict[str, int] = {}
        position = self.space(start + 1)
        if self.text.startswith("}", position):
            return members, position + 1
        while True:
            if not self.text.startswith('"', position):
                raise self.unexpected(position, path, "a key in double quotes")
            key, key_end = self.string(position, path)
            member = (*path, key)
            if key in members:
                self.result.repeated[position] = spans[key]
                first = firsts.setdefault(key, spans[key][0])
                message = f"the key {quoted(key)} stands more than once in one object, first at column {first + 1}"
                self.fault(line_rules.DUPLICATE_KEY, position, key_end, member, message)
            if path[:1] != _FREE:
                self.result.keys[member] = (position, key_end)
            colon = self.space(key_end)
            if not self.text.startswith(":", colon):
                raise self.unexpected(colon, member, "':' after the key")
            members[key], end = self.value(self.space(colon + 1), member)
            spans[key] = (position, end)
            position, closed = self.next_entry(self.space(end), path, "}")
            if closed:
                return members, position

    def array(self, start: int, path: Path) -> tuple[list[Any], int]:
        self.check_depth(start, path)
        entries: list[Any] = []
        position = self.space(start + 1)
        if self.text.startswith("]", position):
            return entries, position + 1
        while True:
            entry, end = self.value(position, (*path, len(entries)))
            entries.append(entry)
            position, closed = self.next_entry(self.space(end), path, "]")
            if closed:
                return entries, position

    def next_entry(self, position: int, path: Path, bracket: str) -> tuple[int, bool]:
        """Past a comma to the next entry, or past the closing bracket."""
        if self.text.startswith(bracket, position):
            return position + 1, True
        if not self.text.startswith(",", position):
            raise self.unexpected(position, path, f"',' or '{bracket}'")
        following = self.space(position + 1)
        if self.text.startswith(bracket, following):
            raise self.broken(position, position + 1, path, f"a comma before the closing '{bracket}'", DELETE_COMMA)
        return following, False

    def string(self, start: int, path: Path) -> tuple[str, int]:
        if simple := _STRING.match(self.text, start):
            return simple[1], simple.end()
        pieces: list[str] = []
        position = start + 1
        noted = False
        while True:
            plain = _PLAIN.match(self.text, position)
            assert plain
            pieces.append(plain[0])
            position = plain.end()
            character = self.text[position : position + 1]
            if character == '"':
                return "".join(pieces), position + 1
            if character == "\\":
                piece, position = self.escape(start, position, path)
                pieces.append(piece)
            elif character:
                if character != "\0" and not noted:  # a NUL byte has a rule of its own
                    message = f"a string holds the control character U+{ord(character):04X} as itself"
                    self.fault(line_rules.CONTROL_CHARACTER, position, position + 1, path, message)
                    noted = True
                pieces.append(character)
                position += 1
            else:
                raise self.unclosed(start, path)

    def escape(self, string_start: int, start: int, path: Path) -> tuple[str, int]:
        letter = self.text[start + 1 : start + 2]
        if letter in _ESCAPES:
            return _ESCAPES[letter], start + 2
        if code := _HEX.match(self.text, start):
            return self.unicode_escape(int(code[1], 16), start, path)
        if _PARTIAL_ESCAPE.fullmatch(self.text, start):
            raise self.unclosed(string_start, path)
        end = start + 2
        message = f"{quoted(self.text[start:end])} is no JSON escape"
        self.fault(line_rules.BAD_ESCAPE, start, end, path, message)
        return self.text[start:end], end

    def unicode_escape(self, code: int, start: int, path: Path) -> tuple[str, int]:
        end = start + 6
        if 0xD800 <= code < 0xDC00 and (second := _HEX.match(self.text, end)):
            low = int(second[1], 16)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)), end + 6
        if 0xD800 <= code < 0xE000:
            message = f"{quoted(self.text[start:end])} is half of a character, without its other half"
            self.fault(line_rules.BAD_ESCAPE, start, end, path, message, "write the whole character")
        return chr(code), end

    def scalar(self, start: int, path: Path) -> tuple[Any, int]:
        """A number or one of the literals."""
        word = _WORD.match(self.text, start)
        if not word:
            raise self.unexpected(start, path, "a value")
        if number := _NUMBER.fullmatch(word[0]):
            return self.number(number, start, path)
        if word[0] in _LITERALS:
            return _LITERALS[word[0]], word.end()
        if word[0] in _NOT_FINITE:
            self.fault(line_rules.NOT_FINITE, start, word.end(), path, f"{word[0]} is no JSON number")
            return _NOT_FINITE[word[0]], word.end()
        if word.end() == len(self.text):
            self.result.cut_short = bool(_PARTIAL_NUMBER.fullmatch(word[0])) or any(
                literal.startswith(word[0]) for literal in (*_LITERALS, *_NOT_FINITE)
            )
        raise self.broken(start, word.end(), path, f"{self.found(start)} is no JSON value", _HINTS.get(word[0], ""))

    def number(self, number: re.Match[str], start: int, path: Path) -> tuple[float, int]:
        end = start + len(number[0])
        value = float(number[0])
        if math.isinf(value):
            message = f"the number {quoted(number[0], 20)} is too large for a double"
            self.fault(line_rules.NOT_FINITE, start, end, path, message, "write a smaller number, or a string")
            return value, end
        return (int(number[0]) if number[1] is number[2] is None else value), end

    def space(self, position: int) -> int:
        space = _SPACE.match(self.text, position)
        assert space
        return space.end()

    def check_depth(self, start: int, path: Path) -> None:
        if len(path) >= MAX_DEPTH:
            message = f"more than {MAX_DEPTH} lists and objects inside one another"
            self.fault(line_rules.NESTED_TOO_DEEP, start, start + 1, path, message)
            raise _EndOfScan

    def found(self, position: int) -> str:
        if word := _WORD.match(self.text, position):
            return quoted(word[0], 20)
        character = self.text[position]
        if character.isprintable():
            return quoted(character)
        code = ord(character)
        return f"the byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"U+{code:04X}"

    def fault(self, rule: Rule, start: int, end: int, path: Path, message: str, help: str = "") -> None:
        fault = Fault(rule=rule, start=start, end=end, path=path, message=message, help=help)
        self.result.faults.append(fault)

    def unclosed(self, start: int, path: Path) -> _EndOfScan:
        self.result.cut_short = True
        message = "the string that starts here is not closed"
        return self.broken(start, len(self.text), path, message, "close it by a double quote")

    def unexpected(self, position: int, path: Path, expected: str) -> _EndOfScan:
        if position == len(self.text):
            self.result.cut_short = True
            message = f"the line ends where {expected} is expected"
            return self.broken(position, position, path, message, "write the whole row on one line")
        hint = _HINTS.get(self.text[position], "")
        message = f"expected {expected}, found {self.found(position)}"
        return self.broken(position, position + 1, path, message, hint)

    def broken(self, start: int, end: int, path: Path, message: str, help: str) -> _EndOfScan:
        self.fault(line_rules.JSON_SYNTAX, start, end, path, message, help)
        return _EndOfScan()
