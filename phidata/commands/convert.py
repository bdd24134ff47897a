"""`phidata convert`: from a source of data to a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata

if TYPE_CHECKING:
    from phidata import Manifest


@click.command()
@click.option("--from", "converter", required=True, metavar="NAME", help="What the source is: ucf101, …")
@click.option(
    "--source",
    metavar="DIR|ARCHIVE|ID",
    help="A folder, a tar or zip archive, or a data set id of the hub.  [default: the one on the hub that NAME knows]",
)
@click.option(
    "--out",
    "--out_dir",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to write: new, empty, or left unfinished by the same command.",
)
@click.option("--num-frames", default=8, show_default=True, help="Images of a video, at equal distances.")
@click.option("--decoder", type=click.Choice(["pyav", "decord"]), default="pyav", show_default=True)
@click.option("--image-format", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
@click.option("--quality", default=75, show_default=True, help="Of jpg, 1 to 95.")
@click.option("--max-side", type=int, metavar="PIXELS", help="Scale larger images down to this longest side.")
@click.option("--max-failures", default=0, show_default=True, help="How many rows may fail with exit code 0.")
@click.option("--jobs", type=int, help="Processes that convert.  [default: one for each CPU]")
@click.option("--overwrite", is_flag=True, help="Replace the conversion that is in the folder.")
@click.option("--format", "report", type=click.Choice(["text", "json"]), default="text", show_default=True)
def convert(
    converter: str,
    source: str | None,
    out: Path,
    num_frames: int,
    decoder: str,
    image_format: str,
    quality: int,
    max_side: int | None,
    max_failures: int,
    jobs: int | None,
    overwrite: bool,
    report: str,
) -> None:
    """Convert a source of data to images, one jsonl file a split, and a manifest.

    A run that was interrupted is continued by the same command. Exit code 0: every row is written; 1: rows failed, and
    failures.jsonl says which and why; 2: it can not be done as asked.
    """
    manifest = phidata.convert(
        converter,
        source=source,
        out=out,
        num_frames=num_frames,
        decoder=decoder,
        image_format=image_format,
        quality=quality,
        max_side=max_side,
        max_failures=max_failures,
        jobs=jobs,
        overwrite=overwrite,
    )
    click.echo(manifest.to_json().decode() if report == "json" else "\n".join(_table(manifest, out)))


def _table(manifest: Manifest, out: Path) -> list[str]:
    ledgers = manifest.splits | {"all": manifest.rows}
    width = max(len(name) for name in ledgers)
    return [
        f"{'':{width}} {'read':>9} {'written':>9} {'skipped':>9} {'failed':>9}",
        *(
            f"{name:{width}} {rows.rows_in:9} {rows.written:9} {rows.skipped:9} {rows.failed:9}"
            for name, rows in ledgers.items()
        ),
        *(f"skipped: {num} ({reason})" for reason, num in manifest.rows.skip_reasons.items()),
        f"{manifest.images.num} images, {manifest.images.bytes / 1e6:.1f} MB, in {out}",
    ]
