"""`phidata convert`: from a source of data to a data folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from phidata import Manifest
    from phidata.conversion import Option
    from phidata.conversion.rehearsal import Rehearsal

SHAPES = ("images-jsonl", "arrow", "parquet", "webdataset")


class ConvertCommand(click.Command):
    """The command with the options of the converter that --from names, besides those that all have."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        common = [param for param in self.params if not isinstance(param, ConverterOption)]
        self.params = [*common, *self._own_options(args)]
        return super().parse_args(ctx, args)

    def _own_options(self, args: list[str]) -> list[click.Parameter]:
        name = _named_converter(args)
        if name is None:
            return []
        from phidata.conversion.converter import find_converter

        return [_click_option(option) for option in find_converter(name).about.options]


class ConverterOption(click.Option):
    """An option that one converter has. Its value goes to the context's object under its name."""


@click.command(cls=ConvertCommand)
@click.option("--from", "converter", required=True, metavar="NAME", help="What the source is: see `phidata formats`.")
@click.option(
    "--source",
    metavar="PATH|URL|ID",
    help="A folder, an archive or a data file, here or in a store such as s3://, or a data set id of the hub.  "
    "[default: the one on the hub of NAME]",
)
@click.option(
    "--out",
    "--out_dir",
    metavar="DIR|URL",
    help="The folder to write, here or in a store: new, empty, or left unfinished by the same command.",
)
@click.option(
    "--to", "shape", type=click.Choice(SHAPES), default=SHAPES[0], show_default=True, help="How it is stored."
)
@click.option("--shard-size", default="512MB", show_default=True, metavar="SIZE", help="Of arrow, parquet, webdataset.")
@click.option("--images", metavar="DIR|PREFIX=DIR", help="Folder below which image paths start, after a prefix.")
@click.option("--split", "splits", multiple=True, metavar="NAME=EXPR", help="Make a split, such as val=train[:500].")
@click.option("--limit", type=int, metavar="N", help="Only the first N rows of each split.")
@click.option("--sample", type=int, metavar="N", help="Only N rows of each split, drawn by --seed.")
@click.option("--seed", default=0, show_default=True)
@click.option("--ids", type=click.Choice(["count", "source"]), default="count", show_default=True, help="Of rows.")
@click.option("--num-frames", type=int, metavar="N", help="Images of a video, at equal distances.  [default: 8]")
@click.option("--fps", type=float, metavar="F", help="Instead: F images for each second of a video.")
@click.option("--keyframes", is_flag=True, help="Instead: the key frames of a video.")
@click.option("--decoder", type=click.Choice(["pyav", "decord"]), default="pyav", show_default=True)
@click.option("--image-format", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
@click.option("--quality", default=75, show_default=True, help="Of jpg, 1 to 95.")
@click.option("--max-side", type=int, metavar="PIXELS", help="Scale larger images down to this longest side.")
@click.option("--keep-bytes", is_flag=True, help="Copy JPEG, PNG and WebP images that decode as they are.")
@click.option(
    "--exif", type=click.Choice(["apply", "keep"]), default="apply", show_default=True, help="Turn images upright."
)
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="Whether a row that can not be converted makes the exit code 1 or counts as skipped.",
)
@click.option(
    "--max-failures",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many rows may fail with exit code 0.",
)
@click.option("--dry-run", is_flag=True, help="Count the rows and show three of them; write nothing.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that convert.  [default: one for each CPU]")
@click.option(
    "--row-timeout",
    type=click.FloatRange(min=0),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="A row that takes longer fails; 0: none does.",
)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True, help="Who converts.")
@click.option("--address", metavar="HOST:PORT", help="Of the Ray cluster.  [default: the one this machine is in]")
@click.option(
    "--scratch",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="For what comes from a store or goes to one.  [default: scratch in $PHIDATA_CACHE or ~/.cache/phidata]",
)
@click.option("--overwrite", is_flag=True, help="Replace the conversion that is in the folder.")
@click.option("--format", "report", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def convert(
    ctx: click.Context,
    converter: str,
    source: str | None,
    out: str | None,
    shape: str,
    shard_size: str,
    images: str | None,
    splits: tuple[str, ...],
    limit: int | None,
    sample: int | None,
    seed: int,
    ids: str,
    num_frames: int | None,
    fps: float | None,
    keyframes: bool,
    decoder: str,
    image_format: str,
    quality: int,
    max_side: int | None,
    keep_bytes: bool,
    exif: str,
    on_error: str,
    max_failures: int,
    dry_run: bool,
    jobs: int | None,
    row_timeout: float,
    engine: str,
    address: str | None,
    scratch: Path | None,
    overwrite: bool,
    report: str,
) -> None:
    """Convert a source of data to images and rows, a ledger, and a manifest.

    `phidata convert --from NAME --help` shows the options of a converter too. A run that was interrupted is continued
    by the same command. Exit code 0: every row is accounted for; 1: rows failed, and failures.jsonl says which and why;
    2: it can not be done as asked.
    """
    if out is None and not dry_run:
        raise click.UsageError("Missing option '--out'.", ctx)
    from phidata.conversion.engine import Means, carry_out
    from phidata.conversion.options import Options
    from phidata.conversion.rehearsal import rehearse
    from phidata.conversion.request import requested
    from phidata.conversion.selection import Selection
    from phidata.storage.shape import parse_size

    means = Means(jobs=jobs, row_timeout_s=row_timeout or None, engine=engine, address=address, scratch=scratch)
    means.check_shared(source, out)
    request = requested(
        converter,
        source=source,
        settings=ctx.obj or {},
        images=images,
        shape=shape,
        shard_bytes=parse_size(shard_size),
        selection=Selection(splits=_split_expressions(splits), limit=limit, sample=sample, seed=seed),
        ids=ids,
        options=Options(
            num_frames=num_frames,
            fps=fps,
            keyframes=keyframes,
            decoder=decoder,
            image_format=image_format,
            quality=quality,
            max_side=max_side,
            keep_bytes=keep_bytes,
            exif=exif,
        ),
        on_error=on_error,
        scratch=scratch,
    )
    if dry_run:
        rehearsal = rehearse(request)
        click.echo(json.dumps(asdict(rehearsal)) if report == "json" else "\n".join(_plan(rehearsal)))
        return
    assert out is not None
    done = carry_out(request, out, means, overwrite=overwrite)
    click.echo(done.manifest.to_json().decode() if report == "json" else "\n".join(_table(done.manifest, done.out)))
    done.check(max_failures)


def _named_converter(args: list[str]) -> str | None:
    for place, argument in enumerate(args):
        if argument == "--from" and place + 1 < len(args):
            return args[place + 1]
        if argument.startswith("--from="):
            return argument.partition("=")[2]
    return None


def _click_option(option: Option) -> ConverterOption:
    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        ctx.ensure_object(dict)[option.name] = value

    return ConverterOption(
        [f"--{option.name.replace('_', '-')}", f"own_{option.name}"],
        help=option.help,
        default=False if option.flag else option.default,
        show_default=option.default is not None,
        type=click.Choice(option.choices) if option.choices else None,
        multiple=option.multiple,
        is_flag=option.flag,
        metavar=option.metavar,
        expose_value=False,
        callback=keep,
    )


def _split_expressions(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, expression = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not NAME=EXPR, such as val=train[:500]", param_hint="--split")
        if name in found:
            raise click.BadParameter(f"two expressions for {name!r}; join them with +", param_hint="--split")
        found[name] = expression
    return found


def _plan(rehearsal: Rehearsal) -> list[str]:
    total = sum(rehearsal.rows.values())
    counts = rehearsal.rows | {"all": total}
    width = max(map(len, counts))
    lines = [f"{'':{width}} {'rows':>9}", *(f"{name:{width}} {num:9}" for name, num in counts.items())]
    lines += [f"skipped: {num} ({reason})" for reason, num in rehearsal.skip_reasons.items()]
    if rehearsal.num_problems:
        lines.append(f"would fail: {rehearsal.num_problems} of them, at least")
    for sample in rehearsal.samples:
        lines += ["", f"{sample.place}:", sample.row or f"would fail: {sample.problem}"]
    return [*lines, "", "nothing is written (--dry-run)"]


def _table(manifest: Manifest, out: str) -> list[str]:
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
