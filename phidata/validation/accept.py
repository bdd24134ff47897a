"""The fast path: rows that are clean are told from those that need a look, and nothing is said about why.

What is accepted here has no finding on the slow path (row.py); a property test holds the two together. msgspec
decides the grammar and the types. It lets four things pass that are looked for here: a key twice in one object, deep
nesting, integers beyond a double, and what the rules say about single strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from phidata.validation.paths import are_image_paths
from phidata.validation.scan import MAX_DEPTH
from phidata.validation.tokens import control_tokens


class AcceptedTurn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A turn as it stands in its line: UNSET is a key that is not there."""

    images: list[str]
    user: str
    assistant: str
    answers: list[str] | UnsetType | None = UNSET


class AcceptedRow(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A row in which no rule finds anything."""

    id: str
    source: str
    conversations: list[AcceptedTurn]
    metadata: dict[str, Any] | UnsetType | None = UNSET


_decode = msgspec.json.Decoder(AcceptedRow).decode
_REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_row(line: bytes) -> AcceptedRow | None:
    """The row of a line that has the right shape, whatever else is wrong with it."""
    try:
        return _decode(line)
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


def _accept(rows: list[AcceptedRow], block: bytes) -> Accepted | None:
    paths: list[str] = []
    texts: list[str] = []
    num_optional = 0  # strings that only some rows have, keys included
    try:
        for row in rows:
            if not (row.id and row.source and row.conversations):
                return None
            if row.metadata is not UNSET:
                num_optional += 1 + _num_strings(row.metadata, 1)
            for turn in row.conversations:
                paths += turn.images
                texts += (turn.user, turn.assistant)
                if turn.answers is not UNSET:
                    num_optional += 1 + _num_answers(turn.answers)
    except (RecursionError, OverflowError, _Unsure):
        return None
    num_turns = len(texts) // 2
    num_strings = 5 * len(rows) + 5 * num_turns + len(paths) + num_optional  # a row and a turn have 3 keys and 2 texts
    escaped = b"\\" in block
    if (
        _num_quotes(block, escaped=escaped) == 2 * num_strings
        and are_image_paths(paths, escaped=escaped)
        and _are_plain_texts(texts, markup=escaped or b"<" in block, escaped=escaped)
    ):
        return Accepted(rows, num_turns, len(paths))
    return None


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


def _num_quotes(block: bytes, *, escaped: bool) -> int:
    """The quotes that begin or end a string. A key that stands twice makes more of them than the decoded row needs."""
    if not escaped:
        return block.count(b'"')
    block = block.replace(rb"\\", b"")
    return block.count(b'"') - block.count(rb"\"")


def _are_plain_texts(texts: list[str], *, markup: bool, escaped: bool) -> bool:
    if not all(texts) or any(map(str.isspace, texts)):
        return False
    if markup and any(map(control_tokens, texts)):
        return False
    return not (escaped and any("\0" in text for text in texts))
