"""`phidata order`: which rows are in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

import phidata
from phidata.errors import UsageError

if TYPE_CHECKING:
    from phidata.streaming.plan import Stop


@click.command()
@click.argument("folders", metavar="DIR…", nargs=-1, required=True)
@click.option("--step", required=True, type=click.IntRange(min=1), metavar="N", help="Of the epoch, from 1.")
@click.option("--batch-size", required=True, type=click.IntRange(min=1), metavar="B", help="Samples a step, all ranks.")
@click.option("--split", metavar="NAME", help="May be left out where there is only one.")
@click.option("--seed", default=0, show_default=True)
@click.option("--epoch", default=0, show_default=True, help="From 0.")
@click.option("--mix", multiple=True, metavar="NAME=WEIGHT", help="The share of a folder, once for each.")
@click.option("--stop", type=click.Choice(["all", "first"]), default="all", show_default=True, help="Of a mix.")
@click.option("--window", type=int, metavar="SHARDS", help="So many are shuffled together.  [default: all]")
@click.option("--shuffle/--no-shuffle", default=True, show_default=True)
@click.option(
    "--world-size", type=click.IntRange(min=1), default=1, show_default=True, help="How many ranks there are."
)
@click.option("--rank", type=click.IntRange(min=0), metavar="R", help="Only what this rank reads.")
@click.option("--cache", metavar="CACHE", help="Where copies of remote shards are kept.")
@click.option("--cache-size", metavar="SIZE", help="How many of them.  [default: 64GB]")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def order(
    folders: tuple[str, ...],
    step: int,
    batch_size: int,
    split: str | None,
    seed: int,
    epoch: int,
    mix: tuple[str, ...],
    stop: Stop,
    window: int | None,
    shuffle: bool,
    world_size: int,
    rank: int | None,
    cache: str | None,
    cache_size: str | None,
    format_: str,
) -> None:
    """Print which rows are in a batch, as `phidata.stream` gives them for the same folders and options.

    Exit code 0: printed; 1: a row can not be read; 2: it can not be done as asked.
    """
    stream = phidata.stream(
        list(folders),
        split,
        seed=seed,
        epoch=epoch,
        rank=rank or 0,
        world_size=world_size,
        mix=_weights(mix) if mix else None,
        stop=stop,
        shuffle=shuffle,
        window=window,
        cache=cache,
        cache_bytes=cache_size,
    )
    num_steps = -(-stream.num_samples // batch_size)
    if step > num_steps:
        raise UsageError(f"an epoch has {num_steps} steps of {batch_size} samples, and no step {step}")
    batch = stream.samples((step - 1) * batch_size, step * batch_size)
    rows = [
        Ordered(
            position=sample.position,
            rank=sample.position % world_size,
            source=sample.source,
            row=sample.number + 1,
            id=sample.row.id,
        )
        for sample in batch
        if rank in (None, sample.position % world_size)
    ]
    if format_ == "json":
        found = {"epoch": epoch, "step": step, "steps": num_steps, "samples": stream.num_samples, "batch": rows}
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo("\n".join(_table(rows)))


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of the batch; `row` counts from 1, `position` from 0."""

    position: int
    rank: int
    source: str
    row: int
    id: str


def _weights(mix: Sequence[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for wish in mix:
        name, equals, weight = wish.rpartition("=")
        try:
            weights[name] = float(weight)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--mix {wish} has no weight; write it as NAME=0.7")
    return weights


def _table(rows: Sequence[Ordered]) -> list[str]:
    width = max((len(row.source) for row in rows), default=0)
    lines = [f"{'position':>10} {'rank':>5} {'':{width}} {'row':>10}  id"]
    return lines + [f"{row.position:10} {row.rank:5} {row.source:{width}} {row.row:10}  {row.id}" for row in rows]
