"""`phidata dedup`: duplicates and leakage between splits are found, and left out of a copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata
from phidata.diagnostics.excerpt import printable
from phidata.storage.shape import SHAPES, parse_size

if TYPE_CHECKING:
    from phidata.curation import Deduplicated
    from phidata.curation.findings import Match

MAX_SHOWN = 10


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="OUT", help="Write a copy without the twins, new.")
@click.option(
    "--distance",
    default=6,
    show_default=True,
    metavar="BITS",
    help="In how many of 64 bits the hashes of two images that look alike may differ.",
)
@click.option("--exact", is_flag=True, help="Compare images by their bytes alone, and decode none.")
@click.option(
    "--keep-split",
    "keep_splits",
    multiple=True,
    metavar="NAME",
    help="An evaluation split: it loses no row, others lose what it has.  [default: test, val, validation, dev, eval]",
)
@click.option("--to", type=click.Choice(SHAPES), help="[default: the shape of DIR]")
@click.option("--shard-size", default="512MB", show_default=True, help="Of arrow, parquet and webdataset.")
@click.option("--name", metavar="NAME", help="What the data set is called.  [default: as it was]")
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Threads that decode.  [default: one for each CPU]"
)
@click.option("--dry-run", is_flag=True, help="Tell what would come out, and write nothing.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def dedup(
    folder: Path,
    out: Path | None,
    distance: int,
    exact: bool,
    keep_splits: tuple[str, ...],
    to: str | None,
    shard_size: str,
    name: str | None,
    jobs: int | None,
    dry_run: bool,
    format_: str,
) -> int:
    """Find rows of a data folder that are there twice, and images that an evaluation split shares with another split.

    Without --out it only reports. Exit code 0: there are none, or OUT has none; 1: there are, or evaluation splits
    share images with each other, or something of the data is missing; 2: it can not be done as asked.
    """
    found = phidata.dedup(
        folder,
        out=out,
        distance=None if exact else distance,
        keep_splits=keep_splits,
        to=to,
        name=name,
        shard_bytes=parse_size(shard_size),
        jobs=jobs,
        dry_run=dry_run,
    )
    if format_ == "json":
        import msgspec

        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo("\n".join(_report(found)))
    return 1 if found.num_open else 0


def _report(found: Deduplicated) -> list[str]:
    images = found.images
    lines = [f"duplicate rows: {len(found.duplicates)}", *_listed(found.duplicates)]
    for leak in found.leakage:
        lines.append(
            f"leakage: {leak.rows} of {found.splits[leak.split].rows} rows of {leak.split} show an image that "
            f"{leak.other} has too ({leak.exact} the same, {leak.near} alike), "
            f"in {leak.other_rows} of {found.splits[leak.other].rows} rows"
        )
        lines += _listed(leak.matches)
    if not found.leakage:
        lines.append(f"leakage: no other split has images of {', '.join(found.keep_splits) or 'an evaluation split'}")
    lines.append(
        f"images: {images.shown} shown, {images.paths} paths, {images.contents} different ones, "
        f"{images.near_pairs} pairs of these alike"
    )
    if images.flat:
        lines.append(f"images without structure, compared by their bytes alone: {images.flat}")
    if images.broken:
        lines.append(
            f"images that can not be decoded, compared by their bytes alone: {images.broken} ({images.first_broken})"
        )
    return [*lines, "", *_table(found)]


def _listed(matches: Sequence[Match]) -> list[str]:
    lines = [
        f"  {match.split} {match.id} = {match.twin_split} {match.twin}"
        if match.distance is None
        else f"  {match.split} {match.id} ~ {match.twin_split} {match.twin} ({match.distance} bits)"
        for match in matches[:MAX_SHOWN]
    ]
    lines = list(map(printable, lines))
    more = len(matches) - MAX_SHOWN
    return [*lines, f"  and {more} more; --format json lists all"] if more > 0 else lines


def _table(found: Deduplicated) -> list[str]:
    width = max(len(split) for split in found.splits)
    both = [leak for leak in found.leakage if leak.other in found.keep_splits]
    return [
        f"{'':{width}} {'rows':>9} {'left':>9}",
        *(f"{split:{width}} {part.rows:9} {part.left:9}" for split, part in found.splits.items()),
        *(f"left out: {num} ({reason})" for reason, num in found.left_out.items()),
        *(
            f"{leak.split} and {leak.other} lose nothing and share images: "
            f"--keep-split {leak.split} takes them from {leak.other}"
            for leak in both
        ),
        f"in {found.out}" if found.written else "nothing written",
    ]
