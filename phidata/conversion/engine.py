"""`phidata.convert`: rows → workers → journal → files, for any converter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

import phidata
from phidata.console import Progress, progress
from phidata.conversion.assembly import NOT_CONVERTED, Assembly, Failure
from phidata.conversion.converter import Row
from phidata.conversion.journal import Header
from phidata.conversion.listing import Listing, list_rows, listed_by
from phidata.conversion.options import Options
from phidata.conversion.output import Output, claimed
from phidata.conversion.pool import Pool
from phidata.conversion.request import Request, requested
from phidata.conversion.selection import Selection
from phidata.conversion.sharding import read_tally
from phidata.conversion.task import Job
from phidata.diagnostics.excerpt import printable
from phidata.errors import DataError, UsageError
from phidata.storage.folder import FAILURES
from phidata.storage.manifest import Manifest
from phidata.storage.remote import is_remote, shown
from phidata.storage.scratch import scratch_folder
from phidata.storage.shape import SHARD_BYTES
from phidata.storage.source import Root, Source
from phidata.storage.splits import shape_versions
from phidata.workers import num_cpus

if TYPE_CHECKING:
    from phidata.conversion.engine_ray import RayPool

ROW_TIMEOUT_S = 600.0
ENGINES = ("local", "ray")
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
    row_timeout_s: float | None = ROW_TIMEOUT_S,
    engine: str = "local",
    address: str | None = None,
    overwrite: bool = False,
    scratch: str | Path | None = None,
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
    `on_error="skip"` rows that can not be converted count as skipped instead. A row that takes longer than
    `row_timeout_s` seconds fails, and one that kills its process twice; None lets rows take as long as they want.

    `engine` is "local", processes of this machine, or "ray": the cluster that `address` names, or that this machine
    belongs to, which has source and output on the same paths on every node. Both give the same bytes.

    `source` and `out` can be URLs of object stores, such as `s3://bucket/birds`: the source is fetched to a folder in
    `scratch` first, and what is made there is sent to the store when it is whole, the manifest last. By default
    `scratch` is a folder of that name in $PHIDATA_CACHE, else in ~/.cache/phidata. DataError when a store does not do
    what it should; the same call goes on from there.
    """
    means = Means(jobs=jobs, row_timeout_s=row_timeout_s, engine=engine, address=address, scratch=scratch)
    means.check_shared(source, out)
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
        scratch=scratch,
    )
    if max_failures < 0:
        raise UsageError(f"max_failures is {max_failures}; it is a number of rows")
    done = carry_out(request, out, means, overwrite=overwrite)
    done.check(max_failures)
    return done.manifest


@dataclass(frozen=True, kw_only=True)
class Done:
    """A conversion that has ended: its folder or URL, what the manifest says, and the rows that could not be
    converted."""

    out: str
    manifest: Manifest
    num_failed: int

    def check(self, max_failures: int) -> None:
        """Raise DataError when more rows have failed than may."""
        if self.num_failed > max_failures:
            raise DataError(
                f"{self.num_failed} of {self.manifest.rows.rows_in} rows failed, more than --max-failures "
                f"{max_failures} allows; {self.out}/{FAILURES} names them, the other rows are converted"
            )


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a conversion is carried out with; none of it changes a byte. Raises UsageError for what can not be.

    `scratch` is the folder for what comes from a store or goes to one.
    """

    jobs: int | None = None
    row_timeout_s: float | None = ROW_TIMEOUT_S
    engine: str = "local"
    address: str | None = None
    scratch: str | Path | None = None

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise UsageError(f"jobs is {self.jobs}; at least one process has to convert")
        if self.row_timeout_s is not None and self.row_timeout_s <= 0:
            raise UsageError(f"row_timeout_s is {self.row_timeout_s:g}; it is seconds that a row may take")
        if self.engine not in ENGINES:
            raise UsageError(f"no engine {self.engine!r}; there are {', '.join(ENGINES)}")
        if self.address is not None and self.engine != "ray":
            raise UsageError("--address names a Ray cluster; pass --engine ray too")

    def check_shared(self, source: object, out: object) -> None:
        """Raise UsageError when processes of other machines would have to read a scratch folder of this one."""
        if self.engine == "ray" and self.scratch is None and (is_remote(source) or is_remote(out)):
            raise UsageError(
                "on a Ray cluster all nodes use the folder for what comes from a store or goes to one; "
                "name one on a shared path by --scratch"
            )

    def pool(self, job: Job, versions: Mapping[str, str], lock: int) -> Pool | RayPool:
        """What converts ranges, to be used in a `with` block. Its processes hold the lock as long as they live, where
        they are of this machine; on others the packages have to have these versions."""
        if self.engine == "ray":
            from phidata.conversion.engine_ray import RayPool

            return RayPool(job, self.jobs, versions=versions, address=self.address, row_timeout_s=self.row_timeout_s)
        return Pool(job, self.jobs or num_cpus(), row_timeout_s=self.row_timeout_s, held=(lock,))


def carry_out(request: Request, out: str | Path, means: Means, *, overwrite: bool = False) -> Done:
    """Do what was requested, see `convert`; rows may fail."""
    header = _header(request)
    if is_remote(out):
        done = _deliver(request, str(out), header, means, overwrite=overwrite)
    else:
        done = _convert_into(request, Path(out), header, means, overwrite=overwrite)
    if request.source.copy is not None:
        request.source.copy.remove()
    return done


def _deliver(request: Request, url: str, header: Header, means: Means, *, overwrite: bool) -> Done:
    """Convert in a scratch folder, unless that is done, and send what is there to the store."""
    from phidata.conversion.delivery import delivery

    with delivery(url, header, scratch_folder(means.scratch), overwrite=overwrite) as place:
        manifest = place.converted()
        if manifest is None:
            manifest = _convert_into(request, place.folder, header, means).manifest
        place.send()
    return Done(out=shown(url), manifest=manifest, num_failed=manifest.rows.failed)


def _convert_into(request: Request, out: Path, header: Header, means: Means, *, overwrite: bool = False) -> Done:
    _check_apart(request, out)
    with (
        claimed(out, header, request.shape, overwrite=overwrite) as output,
        request.opened(output.unpacked) as root,
    ):
        listing = _listed(request, root, output)
        output.begin(header, anew=overwrite)
        job = Job(
            converter=request.name,
            root=root,
            options=request.options,
            images=None if output.images is None else output.images.resolve(),
            tasks=listing.tasks_path.resolve(),
            parts=output.journal.parts.resolve(),
        )
        if read_tally(output.journal.shards) is None:
            try:
                with means.pool(job, header.versions, output.journal.lock) as pool:
                    _convert_rows(pool, listing, header.converter)
            except DataError:
                output.remove_temporaries()  # of the other processes, which were killed
                raise
        assembly = Assembly(output, header, listing, request)
        manifest = assembly.finish()
    num_failed = manifest.rows.skip_reasons.get(NOT_CONVERTED, 0) if request.skips_failed else manifest.rows.failed
    _report(assembly.failures, num_failed, request)
    return Done(out=str(out), manifest=manifest, num_failed=manifest.rows.failed)


def _listed(request: Request, root: Root, output: Output) -> Listing:
    return list_rows(
        listed_by(request.converter, root, request.settings),
        root,
        request.selection,
        request.converter.about,
        folder=output.journal.listing,
        source_ids=request.ids == "source",
        content_of=Contents(root, request.source).of,
    )


def _check_apart(request: Request, out: Path) -> None:
    source, place = request.source.path.resolve(), out.resolve()
    if source.is_dir() and place.is_relative_to(source):
        raise UsageError(f"{out} lies in the source {request.source.name}; choose another --out")
    for read in (source, *([request.images.path] if request.images else [])):
        if read.is_relative_to(place):
            raise UsageError(f"{read} is read and lies in {out}; choose another --out")


def _convert_rows(pool: Pool | RayPool, listing: Listing, name: str) -> None:
    """Convert the ranges; what was done of them before is taken over."""
    num_skipped = listing.num_skips + listing.left_out.total()
    note = f"{num_skipped} skipped" if num_skipped else ""
    with progress(listing.num_wanted, f"convert {name}") as bar:
        shown = Shown(bar)
        bar.set_postfix_str(note, refresh=False)
        num_failed = 0
        for rows, counts in pool.run(listing.ranges, shown.under_way):
            if counts.failed:
                num_failed += counts.failed
                bar.set_postfix_str(", ".join(filter(None, (note, f"{num_failed} failed"))), refresh=False)
            shown.done(rows.num_rows)


class Shown:
    """How far the bar is: rows of ranges that are done, and of those that are under way."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._done = self._shown = 0

    def done(self, num_rows: int) -> None:
        self._done += num_rows
        self.under_way(0)

    def under_way(self, num_rows: int) -> None:
        if self._done + num_rows > self._shown:
            self._bar.update(self._done + num_rows - self._shown)
            self._shown = self._done + num_rows


class Contents:
    """What tells a row from the same row of a source that was edited: all that its converter has listed of it, and
    size and time of its file where the source has no identity of its own."""

    def __init__(self, root: Root, source: Source) -> None:
        self._root = root.path if source.folder else None
        self._stamps: dict[str, str] = {}

    def of(self, row: Row) -> str:
        said = blake2b(_said(row), digest_size=8)
        if self._root is not None:
            said.update(self._stamp(row.file).encode())
        return said.hexdigest()

    def _stamp(self, file: str) -> str:
        if file not in self._stamps:
            assert self._root is not None
            try:
                stat = (self._root / file).stat()
            except OSError:
                self._stamps[file] = "missing"
            else:
                self._stamps[file] = f"{stat.st_size} {stat.st_mtime_ns}"
        return self._stamps[file]


def _said(row: Row) -> bytes:
    """All that a row holds."""
    try:
        return msgspec.json.encode(row)
    except (TypeError, ValueError):  # of a type of its own, or text that is not Unicode
        return repr(row).encode(errors="replace")


def _report(failures: list[Failure], num_failed: int, request: Request) -> None:
    word = "skipped" if request.skips_failed else "failed"
    for failure in failures:
        click.echo(f"{word}: {printable(f'{failure.id} {failure.place}: {failure.reason}')}", err=True)
    if num_failed > len(failures):
        click.echo(f"{word}: {num_failed - len(failures)} more", err=True)


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
