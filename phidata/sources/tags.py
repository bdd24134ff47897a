"""Tags in a text that say where an image or a video is shown, such as `<image>`: taken out, and put in."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

_WHITE = (" ", "\n")


class Lifted(NamedTuple):
    """A text without its tags, the tags in their order, and whether one stood with text before and behind it."""

    text: str
    tags: tuple[str, ...]
    is_inside: bool


def lift_tags(text: str, tags: Collection[str]) -> Lifted:
    """Take the tags out of a text, each with one blank or newline, and change nothing else.

    A tag that begins a line goes with the one behind it; at the end of the text, or within a line, with the one before
    it. So `<image>\\nWho?`, `Who?\\n<image>` and `<image>Who?` all become `Who?`, and `Is <image> older?` becomes
    `Is older?`.
    """
    if not any(tag in text for tag in tags):
        return Lifted(text, (), is_inside=False)
    pieces = re.split(f"({'|'.join(map(re.escape, tags))})", text)
    kept, found = pieces[0], pieces[1::2]
    for number, behind in enumerate(pieces[2::2], start=1):
        is_last = number == len(found) and not behind
        if (not kept or kept.endswith("\n")) and not is_last:
            behind = behind[1:] if behind.startswith(_WHITE) else behind
        elif kept.endswith(_WHITE):
            kept = kept[:-1]
        kept += behind
    return Lifted(kept, tuple(found), sum(bool(piece.strip()) for piece in pieces[0::2]) > 1)


def put_tags(text: str, tag: str, count: int, *, each_on_a_line: bool = False) -> str:
    """The text with so many tags before it, such that `lift_tags` gives back the text as it is."""
    if each_on_a_line:
        return f"{tag}\n" * count + text
    between = "\n" if count and text.startswith(_WHITE) else ""
    return tag * count + between + text
