"""`phidata merge`: several data sets become one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata
from phidata.storage.shape import SHAPES, parse_size

if TYPE_CHECKING:
    from phidata.curation import Merged


@click.command()
@click.argument("folders", metavar="DIR…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="The folder to write, new.")
@click.option("--to", type=click.Choice(SHAPES), help="[default: the shape of the folders, else images-jsonl]")
@click.option("--shard-size", default="512MB", show_default=True, help="Of arrow, parquet and webdataset.")
@click.option("--name", metavar="NAME", help="What the data set is called.  [default: as the folders are, else merged]")
@click.option(
    "--ids",
    type=click.Choice(["keep", "prefix"]),
    default="keep",
    show_default=True,
    help="prefix puts the name of its data set before each id.",
)
@click.option("--dry-run", is_flag=True, help="Tell what would come out, and write nothing.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def merge(
    folders: tuple[Path, ...],
    out: Path,
    to: str | None,
    shard_size: str,
    name: str | None,
    ids: str,
    dry_run: bool,
    format_: str,
) -> None:
    """Join data folders of any shape: splits that are called the same become one, in the order of the folders.

    Exit code 0: every row is there; 1: two rows have one id, or something of the data is missing; 2: it can not be done
    as asked.
    """
    merged = phidata.merge(
        folders, out=out, to=to, name=name, ids=ids, shard_bytes=parse_size(shard_size), dry_run=dry_run
    )
    if format_ == "json":
        import msgspec

        click.echo(msgspec.json.encode(merged).decode())
    else:
        click.echo("\n".join(_table(merged)))


def _table(merged: Merged) -> list[str]:
    splits = list(merged.splits)
    rows = [(source.label, [source.splits.get(split, 0) for split in splits]) for source in merged.sources]
    rows.append(("all", list(merged.splits.values())))
    width = max(len(label) for label, _ in rows)
    widths = [max(9, len(split)) for split in splits]
    renamed = [source for source in merged.sources if source.renamed_images]
    return [
        " ".join([f"{'':{width}}", *(f"{split:>{size}}" for split, size in zip(splits, widths, strict=True))]),
        *(
            " ".join([f"{label:{width}}", *(f"{num:{size}}" for num, size in zip(counts, widths, strict=True))])
            for label, counts in rows
        ),
        *(f"images of {source.folder}, now below {source.label}/: {source.renamed_images}" for source in renamed),
        f"{'in' if merged.written else 'nothing written; would be in'} {merged.out} ({merged.shape})",
    ]
