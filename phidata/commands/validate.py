"""`phidata validate` and `phidata explain`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from phidata.diagnostics import Summary, catalogue
from phidata.diagnostics.render import Format, renderer
from phidata.validation import Media, iter_diagnostics


@click.command()
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder below which image paths start. [default: images/ beside the file, else its folder]",
)
@click.option(
    "--media",
    type=click.Choice(["none", "exists", "header", "decode"]),
    default="header",
    show_default=True,
    help="How closely images are looked at.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How findings are written.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes to use; the findings are the same for any number.",
)
def validate(paths: tuple[Path, ...], images: Path | None, media: Media, format_: Format, jobs: int) -> int:
    """Check jsonl files and data folders, row by row and image by image."""
    total = Summary()
    render = renderer(format_, color=_wants_color())
    for diagnostic in iter_diagnostics(paths, total, images=images, media=media, jobs=jobs):
        click.echo(render.diagnostic(diagnostic))
    click.echo(render.summary(total))
    return 1 if total.errors else 0


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Explain a diagnostic CODE, such as PHI012; without one, list them all."""
    if code is None:
        for rule in catalogue.RULES.values():
            click.echo(f"{rule.code}  {rule.severity:<7}  {rule.title}")
    else:
        click.echo(catalogue.explain(catalogue.find_rule(code)))


def _wants_color() -> bool:
    """Colour is for terminals, and for people who have not said no (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
