"""What can be repaired: for a fault the change of the line that removes it, where there is one.

A change is safe when the row means the same as before, or can have meant nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from phidata.diagnostics import image_rules, line_rules, row_rules
from phidata.schema import conversation_schema, turn_schema
from phidata.validation.paths import is_image_path
from phidata.validation.scan import DELETE_COMMA, Fault, Path, Scan, Span
from phidata.validation.spelling import as_on_disk, below, plain_form, without_parents

PYTHON_LITERALS = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Put `text` in the place of `line[start:end]`. With `drops_line` the line goes, its end included."""

    start: int
    end: int
    text: str
    safe: bool
    drops_line: bool = False


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line as an edit needs it; `images` is the folder below which image paths start, where that is known."""

    text: str
    scan: Scan
    images: str | None


def edit_for(fault: Fault, line: Line) -> Edit | None:
    """The change that removes a fault; None where a person has to decide."""
    make = _EDITS.get(fault.rule.code)
    return make(fault, line) if make else None


def _blank_line(fault: Fault, line: Line) -> Edit:  # noqa: ARG001 - one signature for all
    return Edit(start=0, end=len(line.text), text="", safe=True, drops_line=True)


def _syntax(fault: Fault, line: Line) -> Edit | None:
    word = line.text[fault.start : fault.end]
    if fault.help == DELETE_COMMA:
        return _unsafe((fault.start, fault.end), "")
    return _unsafe((fault.start, fault.end), PYTHON_LITERALS[word]) if word in PYTHON_LITERALS else None


def _second_row(fault: Fault, line: Line) -> Edit | None:
    if line.text[fault.start] != "{":
        return None
    begin = len(line.text[: fault.start].rstrip())
    return _unsafe((begin, fault.start), "\n")


def _escape(fault: Fault, line: Line) -> Edit | None:
    if line.text.startswith("\\u", fault.start) and fault.help:  # half of a character
        return None
    return _unsafe((fault.start, fault.start), "\\")


def _control_character(fault: Fault, line: Line) -> Edit:
    return _unsafe((fault.start, fault.end), json.dumps(line.text[fault.start])[1:-1])


def _duplicate_key(fault: Fault, line: Line) -> Edit:
    return _without_member(line.scan.repeated[fault.start], line)


def _not_finite(fault: Fault, line: Line) -> Edit | None:
    word = line.text[fault.start : fault.end].lstrip("-")
    return _unsafe((fault.start, fault.end), "null") if word in ("NaN", "Infinity") else None


def _wrong_type(fault: Fault, line: Line) -> Edit | None:
    span = fault.start, fault.end
    written = line.text[fault.start : fault.end]
    match fault.path, _value(line.scan.value, fault.path):
        case ("id",), bool():
            return None
        case ("id",), int():
            return Edit(start=span[0], end=span[1], text=f'"{written}"', safe=True)
        case (*_, "id" | "source" | "user" | "assistant"), int() | float():
            return _unsafe(span, f'"{written}"')
        case (*_, "answers", int()), int() | float():
            return _unsafe(span, f'"{written}"')
        case (*_, "images" | "answers"), str():
            return _unsafe(span, f"[{written}]")
        case ("conversations",), dict():
            return _unsafe(span, f"[{written}]")
        case ("conversations", int(), "images"), None:
            return _unsafe(span, "[]")
    return None


def _missing_key(fault: Fault, line: Line) -> Edit | None:
    turn = _value(line.scan.value, fault.path)
    if "`images`" not in fault.message or _misspelt("images", turn):
        return None
    spaced = ": " in line.text
    member = '"images": []' if spaced else '"images":[]'
    rest = (", " if spaced else ",") if turn else ""
    return _unsafe((fault.start + 1, fault.start + 1), member + rest)


def _unknown_key(fault: Fault, line: Line) -> Edit | None:
    """Renamed to the key of the schema that it resembles, where that one is missing and nothing else resembles it."""
    owner = _value(line.scan.value, fault.path[:-1])
    known = turn_schema() if len(fault.path) > 1 else conversation_schema()
    near = get_close_matches(str(fault.path[-1]).casefold(), list(known["properties"]), n=1)
    if not near or near[0] in owner or _misspelt(near[0], owner) != [fault.path[-1]]:
        return None
    return _unsafe((fault.start, fault.end), f'"{near[0]}"')


def _empty_list(fault: Fault, line: Line) -> Edit | None:
    return _without_key(fault.path, line) if fault.path[-1] == "answers" else None


def _empty_string(fault: Fault, line: Line) -> Edit | None:
    if len(fault.path) < 2 or fault.path[-2] != "answers" or not any(_value(line.scan.value, fault.path[:-1])):
        return None
    return _without_member((fault.start, fault.end), line)


def _nul(fault: Fault, line: Line) -> Edit:  # noqa: ARG001
    return _unsafe((fault.start, fault.end), "")


def _separators(fault: Fault, line: Line) -> Edit | None:
    value = _value(line.scan.value, fault.path)
    path = plain_form(value.replace("\\", "/"))
    if value.startswith("\\") or not is_image_path(path):
        return None
    if line.images and not os.path.lexists(f"{line.images}/{value}") and (found := as_on_disk(line.images, path)):
        return _path(fault, line, found, safe=True)
    return _path(fault, line, path, safe=False)


def _plain(fault: Fault, line: Line) -> Edit | None:
    value = _value(line.scan.value, fault.path)
    path = plain_form(value)
    return _path(fault, line, path, safe=True) if is_image_path(path) and not value.endswith("/") else None


def _spelling(fault: Fault, line: Line) -> Edit | None:
    path = as_on_disk(line.images, _value(line.scan.value, fault.path)) if line.images else None
    return _path(fault, line, path, safe=True) if path else None


def _absolute(fault: Fault, line: Line) -> Edit | None:
    path = below(line.images, _value(line.scan.value, fault.path)) if line.images else None
    return _path(fault, line, path, safe=False) if path and is_image_path(path) else None


def _parents(fault: Fault, line: Line) -> Edit | None:
    path = without_parents(_value(line.scan.value, fault.path))
    if not (path and line.images and is_image_path(path) and as_on_disk(line.images, path) == path):
        return None
    return _path(fault, line, path, safe=False)


_EDITS: dict[str, Callable[[Fault, Line], Edit | None]] = {
    line_rules.BLANK_LINE.code: _blank_line,
    line_rules.JSON_SYNTAX.code: _syntax,
    line_rules.SEVERAL_VALUES.code: _second_row,
    line_rules.BAD_ESCAPE.code: _escape,
    line_rules.CONTROL_CHARACTER.code: _control_character,
    line_rules.DUPLICATE_KEY.code: _duplicate_key,
    line_rules.NOT_FINITE.code: _not_finite,
    row_rules.WRONG_TYPE.code: _wrong_type,
    row_rules.MISSING_KEY.code: _missing_key,
    row_rules.UNKNOWN_KEY.code: _unknown_key,
    row_rules.EMPTY_LIST.code: _empty_list,
    row_rules.EMPTY_STRING.code: _empty_string,
    row_rules.NUL_IN_TEXT.code: _nul,
    image_rules.BACKSLASH.code: _separators,
    image_rules.PATH_FORM.code: _plain,
    image_rules.LETTER_CASE.code: _spelling,
    image_rules.ABSOLUTE_PATH.code: _absolute,
    image_rules.PARENT_FOLDER.code: _parents,
}


def _unsafe(span: Span, text: str) -> Edit:
    return Edit(start=span[0], end=span[1], text=text, safe=False)


def _path(fault: Fault, line: Line, path: str, *, safe: bool) -> Edit:
    ascii_only = line.text[fault.start : fault.end].isascii()
    return Edit(start=fault.start, end=fault.end, text=json.dumps(path, ensure_ascii=ascii_only), safe=safe)


def _without_key(path: Path, line: Line) -> Edit:
    return _without_member((line.scan.keys[path][0], line.scan.spans[path][1]), line)


def _without_member(span: Span, line: Line) -> Edit:
    """Take out a member or an entry, with the comma behind it, else with the one before it."""
    start, end = span
    after = len(line.text) - len(line.text[end:].lstrip(" \t\r"))
    if line.text.startswith(",", after):
        rest = line.text[after + 1 :]
        return _unsafe((start, len(line.text) - len(rest.lstrip(" \t\r"))), "")
    before = line.text[:start].rstrip(" \t\r")
    return _unsafe((len(before) - before.endswith(","), end), "")


def _misspelt(key: str, owner: dict[str, Any]) -> list[str]:
    """The unknown keys of an object that resemble a key of the schema."""
    known = {*turn_schema()["properties"], *conversation_schema()["properties"]}
    return [name for name in owner if name not in known and get_close_matches(name.casefold(), [key], n=1)]


def _value(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value
