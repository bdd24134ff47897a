"""Rows, right and nearly right, for the property tests."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

text = st.text(st.characters(codec="utf-8"), max_size=6)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0<"), min_size=1, max_size=6).filter(
    lambda word: not word.isspace()
)
says = words | st.sampled_from(["What?", "a\nb", "<b>", "<|x|>", "back\\slash", 'a "quote"', "\\u0000"])
paths = st.sampled_from(["a.jpg", "train/a.jpg", "a/b/c d.png", ".hidden/x", "a/..b", "ü/é.jpg", "x/y:z"])
answers = st.none() | st.lists(words, min_size=1, max_size=2)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
turns = st.fixed_dictionaries(
    {"images": st.lists(paths, max_size=3), "user": says, "assistant": says}, optional={"answers": answers}
)
rows = st.fixed_dictionaries(
    {"id": words, "source": words, "conversations": st.lists(turns, min_size=1, max_size=3)},
    optional={"metadata": st.none() | st.dictionaries(text, json_values, max_size=3)},
)

# Values that break one rule or another, or look as if they did.
odd_values = st.one_of(
    json_values,
    st.sampled_from(
        ["", " ", "\u3000", "\0", "<|end|>", "<s>", "<|image_12|>", "a<unk>", "../x", "/x", "a//b", "C:\\x"]
    ),
    st.sampled_from(["http://x", "a:", "a/", ".", "a/./b", "a/..", "a\\b", "a\nb", "\x7f", 10**400]),
    st.sampled_from(["[]", '[""]', "{}", "[[]]"]).map(json.loads),  # a new one each time: changes go into them
)
odd_pieces = st.one_of(
    st.sampled_from(list(b"\"\\{}[],:\0\xff\t\n \r'\x7f")).map(lambda byte: bytes([byte])),
    st.sampled_from([b"NaN", b"-Infinity", b"1e999", b"-0", b"01", b"1.", b"true", b"nul", b"//", b"\xef\xbb\xbf"]),
    st.sampled_from([b"\\u0000", b"\\ud800", b"\\ud83d\\ude00", b"\\x", b"\\u003c|end|>", b"\\u002e.", b"\\u002"]),
    st.sampled_from([b'"id":', b'"user":"x",', b'"metadata":{"a":1,"a":2},', b'"answers":null,', b'"images":[],']),
)


@st.composite
def dumped(draw: st.DrawFn, value: st.SearchStrategy[Any]) -> bytes:
    """A value as JSON, in one of its many spellings."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " : ")]))
    written = json.dumps(draw(value), ensure_ascii=draw(st.booleans()), separators=separators)
    return written.encode()


@st.composite
def changed_rows(draw: st.DrawFn) -> Any:
    """A row with a value, a key or an entry replaced, added or taken away somewhere."""
    row = draw(rows)
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(_containers(row)))
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        change = draw(st.sampled_from(["replace", "delete", "add"]))
        if change == "add" and isinstance(place, dict):
            place[draw(st.sampled_from(["id", "user", "image", "metadata", "answers", ""]))] = draw(odd_values)
        elif change == "add":
            place.append(draw(odd_values))
        elif keys and change == "delete":
            del place[draw(st.sampled_from(keys))]
        elif keys:
            place[draw(st.sampled_from(keys))] = draw(odd_values)
    return row


@st.composite
def changed_lines(draw: st.DrawFn, lines: st.SearchStrategy[bytes]) -> bytes:
    """A line with some bytes put in, taken out, repeated or cut off."""
    line = draw(lines)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(line)))
        end = draw(st.integers(start, min(start + 9, len(line))))
        piece = draw(st.one_of(odd_pieces, st.just(b""), st.just(line[start:end] * 2)))
        line = line[:start] + piece + line[end:]
    return line[: draw(st.integers(0, len(line)))] if draw(st.integers(0, 9)) == 0 else line


lines = changed_lines(dumped(changed_rows()))


def _containers(value: Any) -> list[Any]:
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return ([value] if isinstance(value, (dict, list)) else []) + [
        found for member in members for found in _containers(member)
    ]
