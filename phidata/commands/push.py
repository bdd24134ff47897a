"""`phidata push`: a data folder to the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import phidata

if TYPE_CHECKING:
    from phidata import Publication

MAX_SHOWN = 20


@click.command()
@click.argument("path", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("repo_id", metavar="ORG/NAME")
@click.option("--private", is_flag=True, help="Make the repository private; a public one that is there is refused.")
@click.option("--revision", default="main", show_default=True, metavar="BRANCH", help="Made when there is none.")
@click.option("--message", metavar="TEXT", help="Of the commit.  [default: Upload NAME with phidata]")
@click.option("--dry-run", is_flag=True, help="Verify the folder, say what would be uploaded, and upload nothing.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def push(
    path: Path, repo_id: str, private: bool, revision: str, message: str | None, dry_run: bool, format_: str
) -> None:
    """Verify a data folder and upload it to a data set repository of the Hugging Face hub.

    The login is that of `hf auth login`, or HF_TOKEN. Exit code 0: it is there; 1: the folder is not whole, or the hub
    can not be reached; 2: the hub refuses, or there is no such folder.
    """
    done = phidata.push(path, repo_id, private=private, revision=revision, message=message, dry_run=dry_run)
    click.echo(done.to_json() if format_ == "json" else "\n".join(_lines(done)))


def _lines(done: Publication) -> list[str]:
    shown = done.files if len(done.files) <= MAX_SHOWN else done.files[:MAX_SHOWN]
    lines = [f"{file.bytes:>15,}  {file.name}" for file in shown]
    if len(shown) < len(done.files):
        lines.append(f"{'…':>15}  and {len(done.files) - len(shown)} more files")
    if done.left_out:
        lines.append(f"left out, no part of the data set: {_names(done.left_out)}")
    if done.also_there:
        lines.append(f"also in the repository, not of this folder: {_names(done.also_there)}")
    what = f"{len(done.files)} files, {done.num_bytes / 1e6:.1f} MB"
    kind = "private data set" if done.private else "data set"
    if done.url is None:
        return [*lines, f"would upload {what} to the {kind} {done.repo_id}, branch {done.revision}: {done.message}"]
    return [*lines, f"uploaded {what} to {done.url}"]


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
