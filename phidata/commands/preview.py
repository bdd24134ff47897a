"""`phidata preview`: a page that shows a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata

if TYPE_CHECKING:
    from phidata.validation import Media


@click.command()
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("preview.html"), show_default=True, help="The file to write."
)
@click.option("--split", metavar="NAME", help="Only this split.")
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Only N rows, drawn.  [default: 10 000 at most]"
)
@click.option("--seed", default=0, show_default=True, help="For another sample, take another.")
@click.option("--only", multiple=True, metavar="CODE", help="Only rows with this finding; PHI3 means all PHI3xx.")
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
    help="How closely images are checked, as by `phidata validate`.",
)
def preview(
    path: Path,
    out: Path,
    split: str | None,
    sample: int | None,
    seed: int,
    only: tuple[str, ...],
    images: Path | None,
    media: Media,
) -> None:
    """Write one HTML file that shows DIR, a data folder of any shape, or a file of it.

    It needs no network and no server: open it in a browser. Rows with their images as strips, turns as a chat, the
    findings of `phidata validate` beside them; search, filters and charts.
    """
    page = phidata.preview(path, out, split=split, sample=sample, seed=seed, only=only, images=images, media=media)
    of = "" if page.rows == page.rows_in_data else f" of {page.rows_in_data:,}"
    click.echo(
        f"{page.path}: {page.rows:,}{of} rows, {page.images:,} images, {page.findings:,} findings, "
        f"{page.bytes / 1e6:.1f} MB"
    )
