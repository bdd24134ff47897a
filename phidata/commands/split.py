"""`phidata split`: a data set is divided into splits, group by group."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata
from phidata.errors import UsageError
from phidata.storage.shape import SHAPES, parse_size

if TYPE_CHECKING:
    from phidata.curation import Divided


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="The folder to write, new.")
@click.option(
    "--split",
    "wishes",
    multiple=True,
    required=True,
    metavar="NAME=SIZE",
    help="A split and its size: a weight, such as train=8, or a number, such as test=500rows. Once for each split.",
)
@click.option(
    "--by",
    multiple=True,
    default=("image",),
    show_default=True,
    metavar="GROUP",
    help="What keeps rows together: image, source, id, id:REGEX, path:REGEX or metadata.KEY. Several: any of them.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--of", multiple=True, metavar="SPLIT", help="Divide this split only, and leave the others as they are.")
@click.option("--to", type=click.Choice(SHAPES), help="[default: the shape of DIR]")
@click.option("--shard-size", default="512MB", show_default=True, help="Of arrow, parquet and webdataset.")
@click.option("--name", metavar="NAME", help="What the data set is called.  [default: as it was]")
@click.option("--dry-run", is_flag=True, help="Tell what would come out, and write nothing.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def split(
    folder: Path,
    out: Path,
    wishes: tuple[str, ...],
    by: tuple[str, ...],
    seed: int,
    of: tuple[str, ...],
    to: str | None,
    shard_size: str,
    name: str | None,
    dry_run: bool,
    format_: str,
) -> None:
    """Divide a data folder of any shape into splits, so that rows of one group never fall on both sides.

    A group keeps its side when rows are added, for the same seed. Exit code 0: done; 1: the rows can not be divided so,
    or something of the data is missing; 2: it can not be done as asked.
    """
    divided = phidata.split(
        folder,
        out=out,
        splits=_sizes(wishes),
        by=by,
        seed=seed,
        of=of,
        to=to,
        name=name,
        shard_bytes=parse_size(shard_size),
        dry_run=dry_run,
    )
    if format_ == "json":
        import msgspec

        click.echo(msgspec.json.encode(divided).decode())
    else:
        click.echo("\n".join(_table(divided)))


def _sizes(wishes: Sequence[str]) -> dict[str, str]:
    sizes: dict[str, str] = {}
    for wish in wishes:
        name, equals, size = wish.partition("=")
        if not equals:
            raise UsageError(f"--split {wish} has no size; write it as {wish}=8 or {wish}=500rows")
        if name in sizes:
            raise UsageError(f"--split {name} is there twice; name each split once")
        sizes[name] = size
    return sizes


def _table(divided: Divided) -> list[str]:
    width = max(len(name) for name in divided.splits)
    lines = [f"{'':{width}} {'wished':>9} {'rows':>9} {'groups':>9}"]
    for name, part in divided.splits.items():
        wished = "as it was" if part.wished is None else f"{part.wished:.1f}".removesuffix(".0")
        lines.append(f"{name:{width}} {wished:>9} {part.rows:9} {part.groups:9}")
    lines.append(
        f"{divided.rows} rows divided, in {divided.groups} groups by {' or '.join(divided.by)}; "
        f"rows in the largest: {divided.largest_group}"
    )
    if divided.shared_rows:
        lines.append(f"divided rows whose group is in a split that was left as it was, too: {divided.shared_rows}")
    lines.append(f"{'in' if divided.written else 'nothing written; would be in'} {divided.out} ({divided.shape})")
    return lines
