"""The fast path: rows that are clean are told from those that need a look, and nothing is said about why.

What is accepted here has no finding on the slow path (row.py); a property test holds the two together. msgspec
decides the grammar and the types. It lets four things pass that are looked for here: a key twice in one object, deep
nesting, integers beyond a double, and what the rules say about single strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from phidata.validation.block import are_rows_on_lines, num_quotes
from phidata.validation.paths import are_image_paths
from phidata.validation.scan import MAX_DEPTH
from phidata.validation.tokens import control_tokens

Filled = Annotated[str, msgspec.Meta(min_length=1)]


class AcceptedTurn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A turn as it stands in its line: UNSET is a key that is not there."""

    images: list[str]
    user: Filled
    assistant: Filled
    answers: list[str] | UnsetType | None = UNSET


class AcceptedRow(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A row in which no rule finds anything."""

    id: Filled
    source: Filled
    conversations: Annotated[list[AcceptedTurn], msgspec.Meta(min_length=1)]
    metadata: dict[str, Any] | UnsetType | None = UNSET


class _TypedTurn(AcceptedTurn, forbid_unknown_fields=True, gc=False):
    user: str
    assistant: str


class _TypedRow(AcceptedRow, forbid_unknown_fields=True, gc=False):
    id: str
    source: str
    conversations: list[_TypedTurn]  # type: ignore[assignment]  # only read here


_decoder = msgspec.json.Decoder(AcceptedRow)
_decode = _decoder.decode
_decode_typed = msgspec.json.Decoder(_TypedRow).decode
_REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_row(line: bytes) -> AcceptedRow | None:
    """The row of a line that has the right shape, whatever else is wrong with it."""
    try:
        return _decode_typed(line)
    except _REFUSED:
        return None


class Accepted(NamedTuple):
    """Clean rows, and how many turns and image paths they have."""

    rows: list[AcceptedRow]
    num_turns: int
    num_images: int


def accept(lines: Sequence[bytes]) -> Accepted | None:
    """The rows of these lines when every one of them is clean, else None. The more lines at once, the faster."""
    try:
        rows = [_decode(line) for line in lines]
    except _REFUSED:
        return None
    return _accept(rows, b"\n".join(lines))


def accept_block(block: bytes) -> Accepted | None:
    """The rows of whole lines when every one of them is clean and has nothing around its row; else None."""
    try:
        rows = _decoder.decode_lines(block)
    except _REFUSED:
        return None
    return _accept(rows, block) if are_rows_on_lines(block, len(rows)) else None


def _accept(rows: list[AcceptedRow], block: bytes) -> Accepted | None:
    turns = [turn for row in rows for turn in row.conversations]
    texts = [turn.user for turn in turns] + [turn.assistant for turn in turns]
    paths = list(chain.from_iterable([turn.images for turn in turns]))
    try:
        num_optional = _num_optional(rows, turns)
    except (RecursionError, OverflowError, _Unsure):
        return None
    num_strings = 5 * len(rows) + 5 * len(turns) + len(paths) + num_optional  # a row and a turn have 3 keys and 2 texts
    escaped = b"\\" in block
    if (
        num_quotes(block, escaped=escaped) == 2 * num_strings
        and are_image_paths(paths, escaped=escaped)
        and _are_plain_texts(texts, markup=escaped or b"<" in block, escaped=escaped)
    ):
        return Accepted(rows, len(turns), len(paths))
    return None


def _num_optional(rows: Sequence[AcceptedRow], turns: Sequence[AcceptedTurn]) -> int:
    """The strings that only some rows have, keys included."""
    metadata = [row.metadata for row in rows]
    answers = [turn.answers for turn in turns]
    total = 0
    if metadata.count(UNSET) < len(rows):
        total += sum(1 + _num_strings(value, 1) for value in metadata if value is not UNSET)
    if answers.count(UNSET) < len(turns):
        total += sum(1 + _num_answers(value) for value in answers if value is not UNSET)
    return total


class _Unsure(Exception):
    """Only the slow path can tell."""


def _num_strings(value: Any, depth: int) -> int:
    """The keys and the string values in metadata that lie `depth` levels below the row."""
    match value:
        case str():
            return 1
        case dict() | list() if depth >= MAX_DEPTH:
            raise _Unsure
        case dict():
            return len(value) + sum(_num_strings(member, depth + 1) for member in value.values())
        case list():
            return sum(_num_strings(entry, depth + 1) for entry in value)
        case int():
            float(value)  # OverflowError for what no double can hold
    return 0


def _num_answers(answers: list[str] | None) -> int:
    if answers is None:
        return 0
    if not (answers and all(answers)):
        raise _Unsure
    return len(answers)


def _are_plain_texts(texts: list[str], *, markup: bool, escaped: bool) -> bool:
    if any(map(str.isspace, texts)):
        return False
    if markup and any(map(control_tokens, texts)):
        return False
    return not (escaped and any("\0" in text for text in texts))
