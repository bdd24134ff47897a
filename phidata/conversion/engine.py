"""`phidata.convert`: rows → workers → journal → files, for any converter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

import phidata
from phidata.console import progress
from phidata.conversion.assembly import Assembly, Failure
from phidata.conversion.converter import Row
from phidata.conversion.journal import Entry, Header
from phidata.conversion.listing import Listing, list_rows, listed_by
from phidata.conversion.options import Options
from phidata.conversion.outcome import Failed, Written
from phidata.conversion.output import Output, claimed
from phidata.conversion.pool import Pool
from phidata.conversion.request import Request, requested
from phidata.conversion.selection import Selection
from phidata.conversion.worker import Job, Task
from phidata.diagnostics.excerpt import printable
from phidata.errors import DataError, UsageError
from phidata.storage.folder import FAILURES
from phidata.storage.manifest import Manifest
from phidata.storage.shape import SHARD_BYTES
from phidata.storage.source import Root, Source
from phidata.storage.splits import shape_versions
from phidata.workers import num_cpus

MAX_SHOWN = 20  # failures on standard error; the file has all of them
_DECODER_PACKAGES = {"pyav": "av", "decord": "decord"}


def convert(
    converter: str,
    *,
    source: str | Path | None = None,
    out: str | Path,
    settings: Mapping[str, Any] | None = None,
    images: str | Path | None = None,
    shape: str = "images-jsonl",
    shard_bytes: int = SHARD_BYTES,
    splits: Mapping[str, str] | None = None,
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    ids: str = "count",
    num_frames: int | None = None,
    fps: float | None = None,
    keyframes: bool = False,
    decoder: str = "pyav",
    image_format: str = "jpg",
    quality: int = 75,
    max_side: int | None = None,
    keep_bytes: bool = False,
    exif: str = "apply",
    on_error: str = "fail",
    max_failures: int = 0,
    jobs: int | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Convert a source to a data folder: the rows of each split with their images, and `manifest.json`.

    `source` is a folder, an archive, a data file or a data set id of the hub; by default the converter's own on the
    hub. `settings` are the converter's own options, `images` the folder below which image paths start when they do not
    start in the source. `shape` is how rows and images are stored, one of `phidata.storage.shape.SHAPES`. `splits`,
    `limit`, `sample` and `seed` choose rows (`phidata.conversion.selection.Selection`), the options from `num_frames`
    to `exif` say how images are made (`phidata.conversion.options.Options`: 8 frames of a video by default). `ids`
    counts rows ("count") or keeps the source's ids ("source").

    The bytes of the output depend on source, options and library versions alone, not on `jobs` (default: the CPUs there
    are). An interrupted conversion is continued by the same call. Progress and failed rows go to standard error.

    Raises UsageError for what can not be done as asked, and DataError when more than `max_failures` rows fail: the
    folder is finished all the same, without those rows, which `failures.jsonl` in it names with their reasons. With
    `on_error="skip"` rows that can not be converted count as skipped instead.
    """
    options = Options(
        num_frames=num_frames,
        fps=fps,
        keyframes=keyframes,
        decoder=decoder,
        image_format=image_format,
        quality=quality,
        max_side=max_side,
        keep_bytes=keep_bytes,
        exif=exif,
    )
    request = requested(
        converter,
        source=source,
        settings=settings or {},
        images=images,
        shape=shape,
        shard_bytes=shard_bytes,
        selection=Selection(splits=splits or {}, limit=limit, sample=sample, seed=seed),
        ids=ids,
        options=options,
        on_error=on_error,
    )
    if max_failures < 0:
        raise UsageError(f"max_failures is {max_failures}; it is a number of rows")
    done = carry_out(request, Path(out), jobs=jobs, overwrite=overwrite)
    done.check(max_failures)
    return done.manifest


@dataclass(frozen=True, kw_only=True)
class Done:
    """A conversion that has ended: its folder, what the manifest says, and the rows that could not be converted."""

    out: Path
    manifest: Manifest
    num_failed: int

    def check(self, max_failures: int) -> None:
        """Raise DataError when more rows have failed than may."""
        if self.num_failed > max_failures:
            raise DataError(
                f"{self.num_failed} of {self.manifest.rows.rows_in} rows failed, more than --max-failures "
                f"{max_failures} allows; {self.out / FAILURES} names them, the other rows are converted"
            )


def carry_out(request: Request, out: Path, *, jobs: int | None = None, overwrite: bool = False) -> Done:
    """Do what was requested, see `convert`; rows may fail."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is {jobs}; at least one process has to convert")
    _check_apart(request, out)
    header = _header(request)
    with (
        claimed(out, header, request.shape, overwrite=overwrite) as output,
        request.opened(output.unpacked) as root,
    ):
        rows = listed_by(request.converter, root, request.settings)
        listing = list_rows(rows, root, request.selection, request.converter.about, source_ids=request.ids == "source")
        output.begin(header, anew=overwrite)
        job = Job(converter=request.name, root=root, images=output.images.resolve(), options=request.options)
        contents = Contents(root, request.source)
        try:
            _convert_rows(output, listing, job, contents, jobs or num_cpus(), header.converter)
        except DataError:
            output.remove_temporaries()  # of the other processes, which were killed
            raise
        assembly = Assembly(output, header, listing, request)
        manifest = assembly.finish()
    _report(assembly.failures, request)
    return Done(out=out, manifest=manifest, num_failed=manifest.rows.failed)


def _check_apart(request: Request, out: Path) -> None:
    source, place = request.source.path.resolve(), out.resolve()
    if source.is_dir() and place.is_relative_to(source):
        raise UsageError(f"{out} lies in the source {request.source.name}; choose another --out")
    for read in (source, *([request.images.path] if request.images else [])):
        if read.is_relative_to(place):
            raise UsageError(f"{read} is read and lies in {out}; choose another --out")


def _convert_rows(output: Output, listing: Listing, job: Job, contents: Contents, jobs: int, name: str) -> None:
    """Convert the rows that the journal does not know as written, and tell it what became of them."""
    todo = list(_unfinished(output, listing, contents))
    num_failed = 0
    with progress(len(listing.tasks), f"convert {name}") as bar, Pool(job, jobs) as pool:
        bar.update(len(listing.tasks) - len(todo))
        num_skipped = len(listing.skips) + listing.left_out.total()
        note = f"{num_skipped} skipped" if num_skipped else ""
        bar.set_postfix_str(note, refresh=False)
        for task, result in pool.run(todo):
            if isinstance(result, Failed):
                num_failed += 1
                bar.set_postfix_str(", ".join(filter(None, (note, f"{num_failed} failed"))), refresh=False)
            output.journal.add(
                Entry(number=task.number, name=task.row.name, content=contents.of(task.row), result=result)
            )
            bar.update()


class Contents:
    """What tells a row from the same row of a source that was edited: all that its converter has listed of it, and
    size and time of its file where the source has no identity of its own."""

    def __init__(self, root: Root, source: Source) -> None:
        self._root = root.path if source.folder else None
        self._stamps: dict[str, str] = {}

    def of(self, row: Row) -> str:
        return hashlib.blake2b(f"{row!r} {self._stamp(row.file)}".encode(errors="replace"), digest_size=8).hexdigest()

    def _stamp(self, file: str) -> str:
        if self._root is None:
            return ""
        if file not in self._stamps:
            try:
                stat = (self._root / file).stat()
            except OSError:
                self._stamps[file] = "missing"
            else:
                self._stamps[file] = f"{stat.st_size} {stat.st_mtime_ns}"
        return self._stamps[file]


def _unfinished(output: Output, listing: Listing, contents: Contents) -> Iterator[Task]:
    """The tasks that are still to do. Raises UsageError when the journal tells of rows that the source has not."""
    rows = {task.number: task.row for task in listing.tasks}
    for number in output.journal:
        entry, row = output.journal[number], rows.get(number)
        if row is None or row.name != entry.name:
            raise UsageError(
                f"the source has changed since the conversion into {output.root} began: row {number} was {entry.name} "
                f"and is {row.name if row else 'gone'} now; pass --overwrite to begin anew"
            )
        if isinstance(entry.result, Written) and entry.content != contents.of(row):
            raise UsageError(
                f"the source has changed since the conversion into {output.root} began: {row.place} is another now; "
                f"pass --overwrite to begin anew"
            )
    for task in listing.tasks:
        result = output.journal[task.number].result if task.number in output.journal else None
        if not isinstance(result, Written) or not output.holds(result):
            yield task


def _report(failures: list[Failure], request: Request) -> None:
    word = "skipped" if request.skips_failed else "failed"
    for failure in failures[:MAX_SHOWN]:
        click.echo(f"{word}: {printable(f'{failure.id} {failure.place}: {failure.reason}')}", err=True)
    if len(failures) > MAX_SHOWN:
        click.echo(f"{word}: {len(failures) - MAX_SHOWN} more", err=True)


def _header(request: Request) -> Header:
    packages = (_DECODER_PACKAGES[request.options.decoder], "pillow")
    versions = {"phidata": phidata.__version__, **{package: version(package) for package in packages}}
    versions |= shape_versions(request.shape)
    folder, images = request.source.folder, request.images
    return Header(
        converter=request.converter.about.name,
        options=request.recorded_options(),
        source=request.source.identity,
        folder=str(folder) if folder else None,
        images=str(images) if images else None,
        versions=versions,
    )
