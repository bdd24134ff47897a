"""`phidata export`: a data set in another trainer's format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata
from phidata.storage.shape import parse_size

if TYPE_CHECKING:
    from phidata.exporting import Exported

TARGETS = ("llava", "sharegpt", "messages", "swift", "webdataset")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice(TARGETS), help="The format to write.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="The folder to write, new.")
@click.option(
    "--images",
    type=click.Choice(["link", "copy", "reference"]),
    default="link",
    show_default=True,
    help="Link or copy the images beside the records, or leave them where they are.",
)
@click.option("--skip-refused", is_flag=True, help="Leave out rows that the format can not hold, and write the others.")
@click.option("--shard-size", default="512MB", show_default=True, metavar="SIZE", help="Of webdataset.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def export(folder: Path, to: str, out: Path, images: str, skip_refused: bool, shard_size: str, format_: str) -> None:
    """Write a data folder of any shape as records that another trainer reads, with its images.

    `phidata convert --from NAME` with the same name reads them back; webdataset is a data folder, which every command
    reads. Exit code 0: every row is written, or listed in
    refused.tsv with --skip-refused; 1: the format can not hold some rows, and nothing is written; 2: it can not be done
    as asked.
    """
    exported = phidata.export(
        folder, to=to, out=out, images=images, skip_refused=skip_refused, shard_bytes=parse_size(shard_size)
    )
    if format_ == "json":
        import msgspec

        click.echo(msgspec.json.encode(exported).decode())
    else:
        click.echo("\n".join(_table(exported)))


def _table(exported: Exported) -> list[str]:
    width = max(map(len, exported.splits), default=0)
    num_copied = exported.num_images - exported.num_linked
    made = [f"{num} {how}" for num, how in ((exported.num_linked, "linked"), (num_copied, "written")) if num]
    return [
        f"{'':{width}} {'rows':>9} {'written':>9} {'refused':>9}",
        *(
            f"{name:{width}} {split.rows:9} {split.written:9} {split.refused:9}"
            for name, split in exported.splits.items()
        ),
        f"{exported.num_images} images ({', '.join(made) or 'none of them here'}), "
        f"{exported.image_bytes / 1e6:.1f} MB, in {exported.out}",
    ]
