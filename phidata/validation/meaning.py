"""What the values of a row mean, beyond their shape: texts that say nothing, or that spell a control token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phidata.diagnostics import row_rules
from phidata.validation.scan import Fault, Path, Scan
from phidata.validation.tokens import control_tokens

TEXTS = ("user", "assistant")


def meaning_faults(scan: Scan, line: str) -> Iterator[Fault]:
    """The faults of all texts that are texts; shape has told of the others."""
    for path, turn in turns(scan.value):
        for key in TEXTS:
            if isinstance(text := turn.get(key), str):
                yield from _text_faults(text, (*path, key), scan, line)


def turns(row: Any) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The turns of a row that may be anything, each with its path."""
    conversations = row.get("conversations") if isinstance(row, dict) else None
    if isinstance(conversations, list):
        for number, turn in enumerate(conversations):
            if isinstance(turn, dict):
                yield ("conversations", number), turn


def _text_faults(text: str, path: Path, scan: Scan, line: str) -> Iterator[Fault]:
    start, end = scan.spans[path]
    name = f"`{path[-1]}`"
    if text.isspace():
        yield Fault(rule=row_rules.BLANK_TEXT, start=start, end=end, path=path, message=f"{name} is only white space")
    nul = line.find(r"\u0000", start, end) if "\0" in text else -1
    if nul >= 0:
        yield Fault(
            rule=row_rules.NUL_IN_TEXT, start=nul, end=nul + 6, path=path, message=f"{name} holds a NUL character"
        )
    if tokens := control_tokens(text):
        found = line.find(tokens[0], start, end)  # not there when the token is spelled with escapes
        span = (found, found + len(tokens[0])) if found >= 0 else (start, end)
        message = f"{name} spells the model's control token{'s' if len(tokens) > 1 else ''} {', '.join(tokens)}"
        yield Fault(rule=row_rules.CONTROL_TOKEN, start=span[0], end=span[1], path=path, message=message)
