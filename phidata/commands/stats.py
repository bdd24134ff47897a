"""`phidata stats`: what is in a data set, in numbers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata

if TYPE_CHECKING:
    from phidata.statistics.report import Media


@click.command()
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--split", metavar="NAME", help="Only this split.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder below which image paths start.  [default: images/ beside the file, else its folder]",
)
@click.option(
    "--media",
    type=click.Choice(["none", "header"]),
    default="header",
    show_default=True,
    help="Whether the headers of images are read.",
)
@click.option("--num-crops", default=16, show_default=True, help="Crops an image, for the number of tokens.")
@click.option("--top", default=10, show_default=True, metavar="N", help="How many answers, sizes, … are listed.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def stats(
    path: Path, split: str | None, images: Path | None, media: Media, num_crops: int, top: int, format_: str
) -> int:
    """Count what is in DIR, a data folder of any shape, or a file of it.

    Rows, turns, images, sources, answers, sizes, tokens, seconds of video. Exit code 0: all of it could be read; 1:
    rows or images could not, and the first is named; 2: it can not be done as asked.
    """
    found = phidata.stats(path, split, images=images, media=media, num_crops=num_crops, top=top)
    if format_ == "json":
        click.echo(found.to_json(), nl=False)
    else:
        from phidata.statistics.tables import text_tables

        width = shutil.get_terminal_size().columns
        click.echo(text_tables(found, width=width, bars=sys.stdout.isatty()))
    return 0 if found.complete else 1
