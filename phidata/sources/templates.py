"""Text with the columns of a row in it, `Which {kind} is this?`, and what the parts of a row are made from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from phidata.conversion.converter import Converted
from phidata.conversion.media import Media
from phidata.errors import DataError, UsageError
from phidata.records import Turn
from phidata.sources import fields
from phidata.storage.annotations import kind_of

TEXTS = ("user", "assistant")
COLUMNS = ("answers", "id")
PARTS = ("images", *TEXTS, *COLUMNS)
METADATA = "metadata."

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|\\n")
_PLAIN = {"{{": "{", "}}": "}", "\\n": "\n"}


def fill_in(template: str, record: Mapping[str, Any]) -> str:
    """The template with what stands in the columns; `{{` and `}}` are braces, `\\n` a new line.

    Texts stand as they are, numbers as they are written in JSON. Raises DataError when there is no such column, or
    something else in it.
    """
    return _PIECE.sub(_filler(record), template)


def columns_in(template: str) -> tuple[str, ...]:
    """The columns that a template names. Raises UsageError for one that can not be read."""
    found = []
    for piece in _PIECE.finditer(template):
        if piece[0] in "{}" or piece[1] == "":
            raise UsageError(
                f"{template!r} is no template: {piece[0]!r} names no column; write {{{{ and }}}} for braces"
            )
        if piece[1] is not None:
            found.append(piece[1])
    return tuple(dict.fromkeys(found))


def check(template: str, columns: Sequence[str], option: str) -> None:
    """Raise UsageError when a template, the value of an option, names something else than these columns."""
    for name in columns_in(template):
        if name not in columns:
            raise UsageError(f"{option} {template!r}: {_no_column(name, columns)}")


def as_text(value: Any, column: str) -> str:
    """A text as it is, a number as it is written in JSON. Raises DataError for anything else, such as NaN."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    raise DataError(f"its {column!r} is {kind_of(value)}, where a text or a number is expected")


def read_map(given: Iterable[str], columns: Sequence[str]) -> dict[str, str]:
    """What each part is made from, out of `PART=COLUMN` and `PART=TEMPLATE`: `user` and `assistant` from a template,
    `images` from a column or a template, the others from a column. `\\n` in a template is a new line.

    A text without a column in it is one when it holds a blank. Raises UsageError for a part that there is not or that
    is given twice, for a column that there is not, with the nearest there is, and when `user` or the answer is missing.
    """
    parts: dict[str, str] = {}
    for text in given:
        part, equals, source = text.partition("=")
        if not equals or (part not in PARTS and not (part.startswith(METADATA) and part != METADATA)):
            near = get_close_matches(part, PARTS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the parts are {', '.join(PARTS)} and metadata.KEY"
            raise UsageError(f"--map {text!r} is not PART=COLUMN; {hint}")
        if part in parts:
            raise UsageError(f"--map gives {part!r} twice; give each part once")
        parts[part] = _checked(part, source, columns)
    if "user" not in parts or not parts.keys() & {"assistant", "answers"}:
        has = ", ".join(map(repr, columns)) or "no columns"
        raise UsageError(
            f"--map has to say what user and assistant (or answers) are made from, as in --map user='{{question}}' "
            f"--map assistant='{{answer}}'; there are {has}"
        )
    return parts


def mapped(parts: Mapping[str, str], record: Mapping[str, Any], media: Media) -> Converted:
    """One turn of a record, each part made from what `read_map` gives; without `assistant` the first of `answers`.

    Raises DataError for what can not be in a turn.
    """
    answers = _answers(record, parts.get("answers"))
    turn = Turn(
        images=_images(record, parts, media),
        user=fill_in(parts["user"], record),
        assistant=fill_in(parts["assistant"], record) if "assistant" in parts else (answers or ("",))[0],
        answers=answers,
    )
    kept = {part.removeprefix(METADATA): _kept(record, name) for part, name in parts.items() if METADATA in part}
    return Converted(turns=(turn,), metadata=kept or None)


def _checked(part: str, source: str, columns: Sequence[str]) -> str:
    if _is_column(source, columns):
        return f"{{{source}}}" if part in TEXTS else source
    if part in (*TEXTS, "images"):
        named = columns_in(source)
        for name in named:
            if not _is_column(name, columns):
                raise UsageError(f"--map {part}={source!r}: {_no_column(name, columns)}")
        if named or (part in TEXTS and " " in source):
            return source
    raise UsageError(f"--map {part}={source!r}: {_no_column(source, columns)}")


def _is_column(name: str, columns: Sequence[str]) -> bool:
    """Whether there is a column of that name, or one that a dotted name begins with."""
    return name in columns or ("." in name and name.partition(".")[0] in columns)


def _no_column(name: str, columns: Sequence[str]) -> str:
    near = get_close_matches(name, columns, n=1)
    has = ", ".join(map(repr, columns)) or "none"
    return f"there is no {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"there are {has}")


def _filler(record: Mapping[str, Any]) -> Callable[[re.Match[str]], str]:
    def fill(piece: re.Match[str]) -> str:
        return _PLAIN[piece[0]] if piece[1] is None else as_text(fields.value(record, piece[1]), piece[1])

    return fill


def _images(record: Mapping[str, Any], parts: Mapping[str, str], media: Media) -> tuple[str, ...]:
    source = parts.get("images")
    if source is None:
        return ()
    if columns_in(source):
        return (media.image(fill_in(source, record)),)
    return fields.pictures(media, fields.value(record, source))


def _answers(record: Mapping[str, Any], column: str | None) -> tuple[str, ...] | None:
    if column is None:
        return None
    found = fields.value(record, column)
    several = found if isinstance(found, list) else [found]
    if not several:
        raise DataError(f"its {column!r} is an empty list, where answers are expected")
    return tuple(dict.fromkeys(as_text(answer, column) for answer in several))


def _kept(record: Mapping[str, Any], column: str) -> Any:
    found = fields.value(record, column)
    inside = [found]
    for item in inside:
        if isinstance(item, bytes) or (isinstance(item, float) and not math.isfinite(item)):
            what = "is" if item is found else "holds"
            raise DataError(f"its {column!r} {what} {kind_of(item)}, which metadata can not hold")
        inside += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return found
