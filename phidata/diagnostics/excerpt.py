"""The part of a line around a finding, safe to print on any terminal."""

from __future__ import annotations

import unicodedata

import msgspec

MARGIN_LEFT = 32
MARGIN_RIGHT = 56
ELLIPSIS = "…"


class Excerpt(msgspec.Struct, frozen=True, kw_only=True):
    """Some characters of a line; `text[start:end]` is what a finding is about (nothing, at the end of a line)."""

    text: str
    start: int
    end: int


def cut_excerpt(line: str, start: int, end: int) -> Excerpt:
    """The window of a line around `line[start:end]`, made printable."""
    first = max(start - MARGIN_LEFT, 0)
    last = min(start + MARGIN_RIGHT, len(line))
    head = ELLIPSIS if first else ""
    tail = ELLIPSIS if last < len(line) else ""
    shift = len(head) - first
    text = head + printable(line[first:last]) + tail
    return Excerpt(text=text, start=start + shift, end=max(start, min(end, last)) + shift)


def printable(text: str) -> str:
    """The text with one visible character for each that has no form of its own: marks below a line stay in place, and
    nothing in the data can write control codes to a terminal."""
    return text if text.isprintable() else "".join(map(_visible, text))


def display_width(text: str) -> int:
    """How many columns a terminal gives a printable text: two to a wide East Asian character and to most emoji, none
    to a combining mark (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def quoted(value: str, limit: int = 60) -> str:
    """A piece of data as a message names it: printable, in quotes, cut at `limit` characters."""
    text = printable(value if len(value) <= limit else value[: limit - 1] + ELLIPSIS)
    return f'"{text}"' if "'" in text else f"'{text}'"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"
