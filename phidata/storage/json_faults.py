"""What is wrong with a JSON record, in words, where the decoder has none or does not see it."""

from __future__ import annotations

import json
import re
from typing import Any

# An escape: both halves of a surrogate pair, one half alone, or another.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(u[dD][89a-fA-F]\w\w)|.)", re.DOTALL)


def reason(error: Exception, data: bytes) -> str:
    """Why a record can not be decoded."""
    half = next((escape[1] for escape in _ESCAPE.finditer(data) if escape[1]), None)
    return f"\\{half.decode()} is half a character" if half else str(error)


def repeated_key(data: bytes, value: dict[str, Any]) -> str | None:
    """The first key that an object, decoded to `value`, or one inside it, has twice: its first value would be lost."""
    if data.count(b":") == len(value):
        return None  # each colon stands behind a key of its own, which is quick to see
    try:
        _pairs_decoder.decode(data.decode())
    except _RepeatedKeyError as error:
        return str(error)
    return None


class _RepeatedKeyError(Exception):
    """A key that an object has twice."""


def _look(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))


_pairs_decoder = json.JSONDecoder(object_pairs_hook=_look, parse_int=str, parse_float=str)
