"""`phidata validate` and `phidata explain`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import click

from phidata.console import Progress, progress
from phidata.diagnostics import Summary
from phidata.diagnostics.catalogue import RULES, explanation, find_rule
from phidata.diagnostics.render import Format, renderer

if TYPE_CHECKING:
    from phidata.validation import Media

ERASE_LINE = "\r\033[K"
PATIENCE_S = 1.0


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
@click.option("--format", "format_", type=click.Choice(["text", "json", "github"]), default="text", show_default=True)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that check; the findings are the same for any number.",
)
def validate(paths: tuple[Path, ...], images: Path | None, media: Media, format_: Format, jobs: int) -> int:
    """Check jsonl files and data folders, every row and every image.

    Exit code 0: no errors, perhaps warnings; 1: errors; 2: it can not be done as asked. `phidata explain CODE` says
    more about a finding.
    """
    from phidata.validation import (  # imported late: `phidata --help` needs neither Pillow nor numpy
        add_part,
        iter_parts,
    )

    render = renderer(format_, color=_wants_color())
    total = Summary()
    with RowCounter() as counter:
        for part in iter_parts(paths, images=images, media=media, jobs=jobs):
            if part.diagnostics:
                counter.give_way()
            for diagnostic in part.diagnostics:
                click.echo(render.diagnostic(diagnostic))
            add_part(total, part)
            counter.count(part.rows)
    click.echo(render.summary(total))
    return 1 if total.errors else 0


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
