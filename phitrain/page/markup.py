"""Markup that can not be broken by what it shows: every string that is not markup itself is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

VOID = {"img", "line", "path"}  # elements without children, as far as they are used
# Characters that are not seen or that turn the text around them, and halves of surrogate pairs, which no file can hold.
CONTROLS = r"\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
UNSEEN = re.compile(rf"[{CONTROLS}\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


class Html(str):
    """Markup, as opposed to text."""

    __slots__ = ()


def el(tag: str, classes: str = "", *children: str, attributes: Mapping[str, str] | None = None) -> Html:
    """An element; children that are not Html are text."""
    named = {**({"class": classes} if classes else {}), **(attributes or {})}
    start = "".join(f' {name}="{html.escape(value)}"' for name, value in named.items())
    if tag in VOID:
        return Html(f"<{tag}{start}>" if tag == "img" else f"<{tag}{start}/>")
    return Html(f"<{tag}{start}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Html:
    """Children without an element around them."""
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children))


def data(tag: str, classes: str, text: str) -> Html:
    """An element with text that comes from elsewhere: of any script, its unseen characters written out."""
    shown, end = [], 0
    for match in UNSEEN.finditer(text):
        shown += [text[end : match.start()], el("span", "unseen", f"U+{ord(match[0]):04X}")]
        end = match.end()
    return el(tag, classes, *shown, text[end:], attributes={"dir": "auto"})


def table(classes: str, head: list[str], rows: list[list[str]]) -> Html:
    """A table that scrolls sideways where it is wider than the page; rows whose cells are Html may be whole `td`s."""
    top = el("thead", "", el("tr", "", *(el("th", "", cell, attributes={"scope": "col"}) for cell in head)))
    cells = [el("tr", "", *(cell if cell.startswith("<td") else el("td", "", cell) for cell in row)) for row in rows]
    return el("div", "scroll", el("table", classes, top, el("tbody", "", *cells)))
