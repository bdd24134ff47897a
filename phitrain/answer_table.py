"""Answers of an evaluation as a table for the terminal."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

HEADINGS = ("id", "prompt", "answers", "prediction", "score")
SHARES = (3, 5, 4, 4)  # of the width that the score leaves, for the columns before it
GAP = "  "
CUT = "…"
JOINERS = "\u200c\u200d"  # of letters and of emoji; they do not print, but belong to what does


def sample_lines(evaluation: Mapping[str, Any], num_samples: int, *, width: int | None = None) -> list[str]:
    """A table a split with `num_samples` of its turns, those with the lowest score of the first metric first.

    Cut to the `width` of the terminal, or of so many columns: of a prompt the end stays, of everything else the
    beginning. Columns are counted as a terminal shows them: a Chinese sign takes two, a combining accent none.
    """
    metric = evaluation["metrics"][0]
    columns = width or shutil.get_terminal_size((100, 24)).columns
    lines: list[str] = []
    for name, split in evaluation["splits"].items():
        worst_first = sorted(split["rows"], key=lambda row: row["scores"][metric])
        shown = worst_first[:num_samples]
        lines += [f"{name}, {metric}: {len(shown)} of {split['num_turns']} turns, the lowest scores first"]
        lines += _table([_cells(row, metric) for row in shown], columns)
    return lines


def _cells(row: Mapping[str, Any], metric: str) -> tuple[str, ...]:
    place = row["id"] if row["turn"] == 1 else f"{row['id']}#{row['turn']}"
    cells = (place, row["prompt"], " | ".join(row["answers"]), row["prediction"], f"{row['scores'][metric]:.3f}")
    return tuple(map(_on_one_line, cells))


def _table(rows: Sequence[Sequence[str]], columns: int) -> list[str]:
    widths = _widths([HEADINGS, *rows], columns)
    return [_line(row, widths) for row in (HEADINGS, *rows)]


def _widths(rows: Sequence[Sequence[str]], columns: int) -> list[int]:
    """Each column as wide as its widest cell, but all together no wider than the terminal: a column that wants less
    than its share leaves the rest to the others."""
    wanted = [max(_width(row[column]) for row in rows) for column in range(len(HEADINGS))]
    left = columns - wanted[-1] - len(GAP) * (len(HEADINGS) - 1)
    given = [0] * len(SHARES)
    by_need = sorted(range(len(SHARES)), key=lambda column: wanted[column] / SHARES[column])
    for place, column in enumerate(by_need):
        share = left * SHARES[column] // sum(SHARES[other] for other in by_need[place:])
        given[column] = max(1, min(wanted[column], share))
        left -= given[column]
    return [*given, wanted[-1]]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        _padded(_cut(cell, width, keep_end=heading == "prompt"), width)
        for cell, width, heading in zip(row, widths, HEADINGS, strict=True)
    ]
    return GAP.join(cells).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _cut(text: str, width: int, *, keep_end: bool) -> str:
    if _width(text) <= width:
        return text
    if keep_end:
        return CUT + _beginning(text[::-1], width - 1)[::-1]
    return _beginning(text, width - 1) + CUT


def _beginning(text: str, width: int) -> str:
    """As many characters as fit."""
    num_fitting = sum(total <= width for total in accumulate(map(_columns, text)))
    return text[:num_fitting]


def _width(text: str) -> int:
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if character in JOINERS or unicodedata.category(character) in ("Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _on_one_line(text: str) -> str:
    """What data says can not control the terminal: signs that do not print are blanks, or shown by their number."""
    return "".join(sign if sign.isprintable() or sign in JOINERS else _harmless(sign) for sign in text).strip()


def _harmless(sign: str) -> str:
    return " " if sign.isspace() else sign.encode("unicode_escape").decode()
