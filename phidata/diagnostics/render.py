"""Findings and their sum as text for people, as JSON lines, as GitHub workflow commands, and as SARIF."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import click

from phidata.diagnostics.catalogue import RULES
from phidata.diagnostics.excerpt import display_width, printable
from phidata.diagnostics.record import Diagnostic, Summary
from phidata.diagnostics.sarif import SARIF_END, sarif_begin, sarif_failure, sarif_result

Format = Literal["text", "json", "github", "sarif"]
FORMATS: tuple[Format, ...] = get_args(Format)
COLORS = {"error": "red", "warning": "yellow"}


class Renderer(NamedTuple):
    """How one format writes a finding, and the sum at the end; what it begins with, and puts between findings, and what
    it has in place of the sum when a check breaks off for a reason."""

    diagnostic: Callable[[Diagnostic], str]
    summary: Callable[[Summary], str]
    begin: str = ""
    between: str = ""
    failure: Callable[[str], str] | None = None


def renderer(format: Format, *, color: bool = False) -> Renderer:
    """The functions of one format. Text is coloured for a terminal when `color` is set."""
    style = click.style if color else _plain
    if format == "sarif":
        begin = sarif_begin()
        return Renderer(_written(sarif_result), lambda _: SARIF_END, begin=begin, between=",", failure=sarif_failure)
    if format == "json":
        return Renderer(_written(_json_diagnostic), _json_summary)
    if format == "github":
        return Renderer(_written(_github_diagnostic), _text_summary)
    return Renderer(_written(lambda found: _text_diagnostic(found, style)), _text_summary)


def _written(write: Callable[[Diagnostic], str]) -> Callable[[Diagnostic], str]:
    return lambda found: _encodable(write(found))


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
    place = style(f"{printable(found.path)}{_place(found)}:", bold=True)
    return "\n".join(
        (
            f"{place} {style(f'{found.severity} {found.code}', fg=tint, bold=True)}: {found.message}",
            f"  {style(str(found.line), dim=True)} {bar} {excerpt.text}".rstrip(),
            f"  {gutter} {bar} {indent}{style(marks, fg=tint)} {style(printable(found.pointer), dim=True)}".rstrip(),
            f"  {gutter} {style('=', dim=True)} help: {found.help}",
            "",
        )
    )


def _place(found: Diagnostic) -> str:
    return f":{found.line}:{found.column}" if found.row is None else f": row {found.row}"


def _text_summary(total: Summary) -> str:
    findings = f"{_count(total.errors, 'error')}, {_count(total.warnings, 'warning')}"
    checked = f"{_count(total.rows, 'row')}, {_count(total.turns, 'turn')}, {_count(total.images, 'image')}"
    return f"{findings} in {checked}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _json_diagnostic(found: Diagnostic) -> str:
    place = ("line", "column") if found.row is None else ("row",)
    names = ("code", "severity", "path", *place, "pointer", "message", "help", "id", "fix")
    fields = {"type": "diagnostic"} | {name: getattr(found, name) for name in names}
    return json.dumps(fields, ensure_ascii=False)


def _json_summary(total: Summary) -> str:
    return json.dumps({"type": "summary"} | {name: getattr(total, name) for name in total.__struct_fields__})


def _github_diagnostic(found: Diagnostic) -> str:
    """One workflow command: the finding appears at its line in the pull request (GitHub Docs, "Workflow commands")."""
    title = f"{found.code} {RULES[found.code].name}"
    place = {"line": found.line, "col": found.column} if found.row is None else {}
    properties = {"file": found.path, **place, "title": title}
    written = ",".join(f"{name}={_github_escaped(str(value), ':,')}" for name, value in properties.items())
    row = "" if found.row is None else f"row {found.row}: "
    return f"::{found.severity} {written}::{_github_escaped(f'{row}{found.message}; {found.help}')}"


def _github_escaped(text: str, also: str = "") -> str:
    for character in "%\r\n" + also:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
