"""`phidata.convert`: rows → workers → journal → files, for any converter."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

import phidata
from phidata.console import progress
from phidata.conversion.assembly import Assembly, Failure
from phidata.conversion.converter import find_converter
from phidata.conversion.journal import Entry, Header
from phidata.conversion.listing import Listing, list_rows
from phidata.conversion.options import Options
from phidata.conversion.outcome import Failed, Written
from phidata.conversion.output import Output, claimed
from phidata.conversion.pool import Pool
from phidata.conversion.worker import Job, Task
from phidata.errors import DataError, UsageError
from phidata.storage.folder import FAILURES
from phidata.storage.manifest import Manifest
from phidata.storage.source import Source, find_source, opened

MAX_SHOWN = 20  # failures on standard error; the file has all of them
_DECODER_PACKAGES = {"pyav": "av", "decord": "decord"}


def convert(
    converter: str,
    *,
    source: str | Path | None = None,
    out: str | Path,
    num_frames: int = 8,
    decoder: str = "pyav",
    image_format: str = "jpg",
    quality: int = 75,
    max_side: int | None = None,
    max_failures: int = 0,
    jobs: int | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Convert a source to a data folder: `images/`, `<converter>_<split>.jsonl`, `manifest.json`.

    `source` is a folder, an archive or a data set id of the hub; by default the converter's own on the hub. The bytes
    of the output depend on source, options and library versions alone, not on `jobs` (default: the CPUs there are). An
    interrupted conversion is continued by the same call. Progress and failed rows go to standard error.

    Raises UsageError for what can not be done as asked, and DataError when more than `max_failures` rows fail: the
    folder is finished all the same, without those rows, which `failures.jsonl` in it names with their reasons.
    """
    options = Options(
        num_frames=num_frames, decoder=decoder, image_format=image_format, quality=quality, max_side=max_side
    )
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is {jobs}; at least one process has to convert")
    found = find_converter(converter)
    place = find_source(source, found.hub)
    header = _header(converter, options, place)
    with claimed(Path(out), header, overwrite=overwrite) as output, opened(place, output.unpacked) as root:
        listing = list_rows(found.rows(root), root)
        output.begin(header, anew=overwrite)
        job = Job(converter=converter, root=root.path.resolve(), images=output.images.resolve(), options=options)
        _convert_rows(output, listing, job, jobs or _num_cpus())
        assembly = Assembly(output, header, listing)
        manifest = assembly.finish()
    _report(assembly.failures, Path(out), num_rows=manifest.rows.rows_in, max_failures=max_failures)
    return manifest


def _convert_rows(output: Output, listing: Listing, job: Job, jobs: int) -> None:
    """Convert the rows that the journal does not know as written, and tell it what became of them."""
    todo = list(_unfinished(output, listing))
    num_failed = 0
    with progress(len(listing.tasks), f"convert {job.converter}") as bar, Pool(job, jobs) as pool:
        bar.update(len(listing.tasks) - len(todo))
        for task, result in pool.run(todo):
            if isinstance(result, Failed):
                output.remove_images(task.row.name)
                num_failed += 1
                bar.set_postfix_str(f"{num_failed} failed", refresh=False)
            output.journal.add(Entry(number=task.number, name=task.row.name, result=result))
            bar.update()


def _unfinished(output: Output, listing: Listing) -> Iterator[Task]:
    """The tasks that are still to do. Raises UsageError when the journal tells of rows that the source has not."""
    names = {task.number: task.row.name for task in listing.tasks}
    for number in output.journal:
        name = output.journal[number].name
        if names.get(number) != name:
            raise UsageError(
                f"the source has changed since the conversion into {output.root} began: row {number} was {name} "
                f"and is {names.get(number, 'gone')} now; pass --overwrite to begin anew"
            )
    for task in listing.tasks:
        result = output.journal[task.number].result if task.number in output.journal else None
        if not isinstance(result, Written) or not output.holds(result):
            yield task


def _report(failures: list[Failure], out: Path, *, num_rows: int, max_failures: int) -> None:
    for failure in failures[:MAX_SHOWN]:
        click.echo(f"failed: {failure.id} {failure.file}: {failure.reason}", err=True)
    if len(failures) > MAX_SHOWN:
        click.echo(f"failed: {len(failures) - MAX_SHOWN} more", err=True)
    if len(failures) > max_failures:
        raise DataError(
            f"{len(failures)} of {num_rows} rows failed, more than --max-failures {max_failures} allows; "
            f"{out / FAILURES} names them, the other rows are converted"
        )


def _header(converter: str, options: Options, source: Source) -> Header:
    versions = {"phidata": phidata.__version__}
    for package in (_DECODER_PACKAGES[options.decoder], "pillow"):
        versions[package] = version(package)
    folder = str(source.path.resolve()) if source.path.is_dir() else None
    return Header(converter=converter, options=options, source=source.identity, folder=folder, versions=versions)


def _num_cpus() -> int:
    """The CPUs that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
