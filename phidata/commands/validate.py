"""`phidata validate` and `phidata explain`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click
import msgspec

from phidata.commands.findings import Printer, fixable_note, statistics_lines, token_lines
from phidata.console import Progress, progress
from phidata.diagnostics import Diagnostic, Summary
from phidata.diagnostics.catalogue import RULES, explanation, find_rule
from phidata.diagnostics.render import FORMATS, Format, renderer
from phidata.errors import UsageError

if TYPE_CHECKING:
    from phidata.validation import TokenLimit

ERASE_LINE = "\r\033[K"
PATIENCE_S = 1.0
TRAINERS = ("phitrain", "llava", "trl", "llamafactory", "swift")  # phidata.validation has them too, and imports more


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    paths: tuple[Path, ...]
    images: Path | None
    media: Any
    jobs: int
    format: Format
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    baseline: Path | None
    write_baseline: bool
    limit_errors: int | None
    statistics: bool
    trainer: Any
    tokens: str | None
    num_crops: int
    max_length: int | None
    tokenizer: Path | None
    fix: bool
    unsafe_fixes: bool
    diff: bool


@click.command()
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder below which image paths start.  [default: images/ beside the file, else its folder]",
)
@click.option(
    "--media",
    type=click.Choice(["none", "exists", "header", "decode"]),
    default="header",
    show_default=True,
    help="How closely images are looked at: that they exist, their headers, every pixel.",
)
@click.option("--format", "format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that check; the findings are the same for any number.",
)
@click.option("--select", multiple=True, metavar="CODES", help="Only these codes, or beginnings of codes such as PHI3.")
@click.option("--ignore", multiple=True, metavar="CODES", help="All but these codes; the longer beginning decides.")
@click.option(
    "--baseline", type=click.Path(path_type=Path), metavar="FILE", help="Accept the findings that FILE lists."
)
@click.option("--write-baseline", is_flag=True, help="Write what is found now to the baseline, and accept it.")
@click.option("--limit-errors", type=click.IntRange(min=1), metavar="N", help="Show no more findings after N errors.")
@click.option("--statistics", is_flag=True, help="Show how often each code was found, not the findings.")
@click.option(
    "--for",
    "trainer",
    type=click.Choice(TRAINERS),
    help="Also find the rows that this trainer drops, crashes on or silently changes.",
)
@click.option("--tokens", type=click.Choice(["phi3v"]), help="Count the tokens of each row, as this model takes it.")
@click.option(
    "--num-crops", type=click.IntRange(min=1), default=16, show_default=True, help="Crops of an image, at most."
)
@click.option("--max-length", type=click.IntRange(min=1), metavar="N", help="Find the rows with more than N tokens.")
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The model's tokenizer.json, or its folder.  [default: that of phitrain]",
)
@click.option("--fix", is_flag=True, help="Repair what is safe to repair, and show the changes.")
@click.option(
    "--unsafe-fixes", is_flag=True, help="With --fix or --diff: also what a person should look at afterwards."
)
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
def validate(**options: Any) -> int:
    """Check files and data folders of any shape, every row and every image.

    Exit code 0: no errors, perhaps warnings; 1: errors; 2: it can not be done as asked. `phidata explain CODE` says
    more about a finding.
    """
    request = Request(**options)
    limit = _token_limit(request)
    _refuse(request)
    if request.fix or request.diff:
        num_changes = _repair(request)
        if request.diff:
            return 1 if num_changes else 0
    return _check(request, limit)


@click.command()
@click.argument("code", required=False)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def explain(code: str | None, format_: str) -> None:
    """Explain the diagnostic CODE, such as PHI012; without one, list them all."""
    rules = list(RULES.values()) if code is None else [find_rule(code)]
    for rule in rules:
        if format_ == "json":
            click.echo(json.dumps(vars(rule), ensure_ascii=False))
        elif code is None:
            click.echo(f"{rule.code}  {rule.severity:<7}  {rule.title}")
        else:
            click.echo(explanation(rule))


def _refuse(request: Request) -> None:
    """Raise UsageError for options that contradict each other."""
    if request.write_baseline and request.baseline is None:
        raise UsageError("--write-baseline needs --baseline FILE, the file to write")
    if request.unsafe_fixes and not (request.fix or request.diff):
        raise UsageError("--unsafe-fixes says what --fix and --diff may do; give one of them too")
    if request.statistics and request.format == "sarif":
        raise UsageError("--statistics has no form in SARIF; choose the format text or json")
    if request.write_baseline and (request.fix or request.diff):
        raise UsageError("--write-baseline accepts findings and --fix repairs them; do one after the other")


def _token_limit(request: Request) -> TokenLimit | None:
    from phidata.validation import TokenLimit

    if request.tokens is None:
        for flag, value in (("--max-length", request.max_length), ("--tokenizer", request.tokenizer)):
            if value is not None:
                raise UsageError(f"{flag} is about tokens; add --tokens phi3v to count them")
        return None
    return TokenLimit(
        model=request.tokens,
        num_crops=request.num_crops,
        max_length=request.max_length,
        tokenizer=None if request.tokenizer is None else str(request.tokenizer),
    )


def _repair(request: Request) -> int:
    """Repair the files, or show what would be done; returns how many changes there are."""
    from phidata.repair import fix

    def show(piece: bytes) -> None:
        click.echo(piece.decode("utf-8", "replace") if sys.stdout.isatty() else piece, nl=False)

    done = fix(
        request.paths,
        images=request.images,
        media=request.media,
        unsafe=request.unsafe_fixes,
        select=request.select,
        ignore=request.ignore,
        dry_run=request.diff,
        show=show if request.format == "text" or request.diff else None,
    )
    for note in done.notes():
        click.echo(note, err=True)
    return done.num_changes


def _check(request: Request, limit: TokenLimit | None) -> int:
    from phidata.validation import (
        add_part,
        iter_parts,
    )  # imported late: `phidata --help` needs neither Pillow nor numpy
    from phidata.validation.baseline import write_baseline
    from phidata.validation.token_summary import TokenCounts

    total, counts = Summary(), TokenCounts()
    to_accept: list[Diagnostic] = []
    parts = iter_parts(
        request.paths,
        images=request.images,
        media=request.media,
        jobs=request.jobs,
        select=request.select,
        ignore=request.ignore,
        baseline=None if request.write_baseline else request.baseline,
        trainer=request.trainer,
        tokens=limit,
    )  # what can not be checked at all is told here, before anything is written
    printer = Printer(
        renderer(request.format, color=_wants_color()), limit_errors=request.limit_errors, only_count=request.statistics
    )
    with printer.broken_off(), RowCounter() as counter:
        for part in parts:
            if request.write_baseline:
                to_accept += part.diagnostics
                part.accepted, part.diagnostics = len(part.diagnostics), []
            if part.diagnostics:
                counter.give_way()
            printer.show(part.diagnostics)
            add_part(total, part)
            counts.add(part.tokens)
            counter.count(part.rows)
    if request.write_baseline and request.baseline is not None:
        with printer.broken_off():
            num_accepted = write_baseline(request.baseline, to_accept)
        click.echo(f"{request.baseline} accepts {num_accepted:,} findings from now on", err=True)
    printer.end(total)
    if request.statistics:
        click.echo(
            "\n".join(statistics_lines(printer.counts, as_json=request.format == "json")), nl=bool(printer.counts)
        )
    if limit:
        lines = token_lines(counts.summary(limit, total.rows), as_json=request.format == "json")
        click.echo("\n".join(lines), err=request.format == "sarif")
    if note := fixable_note(total):
        click.echo(note, err=True)
    return 1 if total.errors else 0


class RowCounter(ExitStack):
    """Shows on a terminal how many rows are checked, once a check has taken a while."""

    def __init__(self) -> None:
        super().__init__()
        self._started_s = monotonic()
        self._rows = 0
        self._bar: Progress | None = None

    def count(self, rows: int) -> None:
        self._rows += rows
        if self._bar is not None:
            self._bar.update(rows)
        elif sys.stderr.isatty() and monotonic() - self._started_s > PATIENCE_S:
            self._bar = self.enter_context(progress(None, "checked"))
            self._bar.update(self._rows)

    def give_way(self) -> None:
        """Clear the line, so that a finding can be written there."""
        if self._bar is not None:
            click.echo(ERASE_LINE, nl=False, err=True)


def _wants_color() -> bool:
    """Colour is for terminals, and for people who have not said no (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
