"""`phidata verify`: a data folder against its manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import phidata
from phidata.diagnostics.excerpt import printable

if TYPE_CHECKING:
    from phidata import Verification


@click.command()
@click.argument("path", metavar="DIR|URL")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def verify(path: str, format_: str) -> int:
    """Read all of a data folder and check it against its manifest.json and ledger.jsonl.

    Bytes, sha256 and rows of each file, every image, and that rows in = written + skipped + failed. A file that is no
    part of the data set is a warning, and so is a card that was edited. Exit code 0: the folder is whole; 1: it is not;
    2: it can not be checked.
    """
    found = phidata.verify(path)
    if format_ == "json":
        click.echo(found.to_json().decode(), nl=False)
    else:
        click.echo("\n".join(_lines(found)))
    return 0 if found.ok else 1


def _lines(found: Verification) -> list[str]:
    read = f"{found.num_files} files, {found.num_rows} rows, {found.num_images} images, {found.num_bytes / 1e6:.1f} MB"
    verdict = "all is as the manifest says" if found.ok else "this is not what the manifest says"
    return [
        *(f"{mismatch.severity}: {printable(mismatch.message)}" for mismatch in found.mismatches),
        f"{found.folder}: {read}: {verdict}",
    ]
