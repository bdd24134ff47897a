"""Findings and their sum as text for people, as JSON lines, and as GitHub workflow commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal, NamedTuple

import click

from phidata.diagnostics.catalogue import RULES
from phidata.diagnostics.excerpt import display_width, printable
from phidata.diagnostics.record import Diagnostic, Summary

Format = Literal["text", "json", "github"]
COLORS = {"error": "red", "warning": "yellow"}


class Renderer(NamedTuple):
    """How one format writes a finding, and the sum at the end."""

    diagnostic: Callable[[Diagnostic], str]
    summary: Callable[[Summary], str]


def renderer(format: Format, *, color: bool = False) -> Renderer:
    """The functions of one format. Text is coloured for a terminal when `color` is set."""
    style = click.style if color else _plain
    write: Callable[[Diagnostic], str] = {
        "text": lambda found: _text_diagnostic(found, style),
        "json": _json_diagnostic,
        "github": _github_diagnostic,
    }[format]
    return Renderer(lambda found: _encodable(write(found)), _json_summary if format == "json" else _text_summary)


def _encodable(text: str) -> str:
    """Without the halves of characters that stand in names and keys which are not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _plain(text: str, **_: object) -> str:
    return text


def _text_diagnostic(found: Diagnostic, style: Callable[..., str]) -> str:
    tint = COLORS[found.severity]
    gutter = " " * len(str(found.line))
    excerpt = found.excerpt
    indent = " " * display_width(excerpt.text[: excerpt.start])
    marks = "^" * max(display_width(excerpt.text[excerpt.start : excerpt.end]), 1)
    bar = style("|", dim=True)
    place = style(f"{printable(found.path)}:{found.line}:{found.column}:", bold=True)
    return "\n".join(
        (
            f"{place} {style(f'{found.severity} {found.code}', fg=tint, bold=True)}: {found.message}",
            f"  {style(str(found.line), dim=True)} {bar} {excerpt.text}".rstrip(),
            f"  {gutter} {bar} {indent}{style(marks, fg=tint)} {style(printable(found.pointer), dim=True)}".rstrip(),
            f"  {gutter} {style('=', dim=True)} help: {found.help}",
            "",
        )
    )


def _text_summary(total: Summary) -> str:
    findings = f"{_count(total.errors, 'error')}, {_count(total.warnings, 'warning')}"
    checked = f"{_count(total.rows, 'row')}, {_count(total.turns, 'turn')}, {_count(total.images, 'image')}"
    return f"{findings} in {checked}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _json_diagnostic(found: Diagnostic) -> str:
    fields = {"type": "diagnostic"} | {
        name: getattr(found, name)
        for name in ("code", "severity", "path", "line", "column", "pointer", "message", "help")
    }
    return json.dumps(fields, ensure_ascii=False)


def _json_summary(total: Summary) -> str:
    return json.dumps({"type": "summary"} | {name: getattr(total, name) for name in total.__struct_fields__})


def _github_diagnostic(found: Diagnostic) -> str:
    """One workflow command: the finding appears at its line in the pull request (GitHub Docs, "Workflow commands")."""
    title = f"{found.code} {RULES[found.code].name}"
    properties = {"file": found.path, "line": found.line, "col": found.column, "title": title}
    written = ",".join(f"{name}={_github_escaped(str(value), ':,')}" for name, value in properties.items())
    return f"::{found.severity} {written}::{_github_escaped(f'{found.message}; {found.help}')}"


def _github_escaped(text: str, also: str = "") -> str:
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
