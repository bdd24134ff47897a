"""A worker process: converts one range of rows after the other for as long as its parent asks.

Started by `phidata.conversion.pool`. When the parent dies, in whatever way, the pipe ends and so does the worker, be it
in the middle of a row: another conversion may write into the folder from then on.
"""

from __future__ import annotations

import errno
import hashlib
import os
import select
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from phidata.conversion.converter import Converted, Converter, Row, find_converter
from phidata.conversion.listing import Range, read_tasks
from phidata.conversion.media import Media
from phidata.conversion.options import Options
from phidata.conversion.outcome import Failed, ImageFile, Outcome, Written
from phidata.conversion.parts import Counts, Entry, Part, Stored, part_path, read_counts, stored_images
from phidata.conversion.task import Job, Task
from phidata.conversion.watch import Watch
from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.sink import new_file, sync_disk
from phidata.storage.source import Root
from phidata.validation import check_line

MAX_WRITTEN = 1024
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)

_written: set[ImageFile] = set()  # the last images that this process has written


@dataclass(frozen=True, kw_only=True)
class Order:
    """A range to convert, for a pool of this name. `condemned` are rows, by their numbers, that are not to be tried
    again, and why."""

    rows: Range
    pool: str
    condemned: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlaceLost:
    """The output can not be written, or the source is gone: no row's fault, and none can be converted until that is
    mended."""

    reason: str
    remedy: str = "make room"


@dataclass(frozen=True)
class Mistake:
    """The converter has raised what it may not; its traceback is on standard error."""

    place: str


Answer = Counts | PlaceLost | Mistake


def main() -> None:
    """Serve the parent at the other end of the pipe that the last argument names; the one before names the watch."""
    with Connection(int(sys.argv[-1])) as parent:
        threading.Thread(target=_end_with, args=(parent.fileno(),), daemon=True).start()
        watch = Watch(int(sys.argv[-2]))
        try:
            job: Job = parent.recv()
            converter = find_converter(job.converter)
            with job.tasks.open("rb") as tasks:
                while True:
                    parent.send(carry_out(parent.recv(), job, converter, tasks, watch))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _end_with(pipe: int) -> None:
    """End the process as soon as the parent's end of the pipe is closed, whatever else it is doing."""
    poll = select.poll()
    poll.register(pipe, 0)  # nothing but its end
    poll.poll()
    os._exit(1)


def carry_out(order: Order, job: Job, converter: Converter[Row], tasks: BinaryIO, watch: Watch) -> Answer:
    """Convert the rows of a range that were not converted before, and write its part."""
    watch.begin_range(order.rows.number)
    try:
        counts = _done_before(order, job)
        return counts if counts is not None else _convert(order, job, converter, read_tasks(tasks, order.rows), watch)
    except OSError as error:
        return PlaceLost(f"{error.filename or job.parts} can not be written ({error.strerror})")
    except _Unwritable as error:
        return PlaceLost(str(error))


class _Unwritable(Exception):
    """The images can not be written."""


def _done_before(order: Order, job: Job) -> Counts | None:
    """What the part says that is there already, when none of its rows failed and its images lie in it; one that is
    damaged is made again."""
    with suppress(DataError):
        counts = read_counts(part_path(job.parts, order.rows.number))
        if counts is not None and counts.written == order.rows.num_rows and job.images is None:
            return counts
    return None


def _convert(order: Order, job: Job, converter: Converter[Row], tasks: list[Task], watch: Watch) -> Answer:
    part = Part(job.parts, order.rows.number, inline=job.images is None, pool=order.pool)
    try:
        earlier = part.earlier()
        for task in tasks[part.num_done :]:
            watch.begin_row(task.number)
            done = _taken_over(earlier.get(task.number), job)
            if done is None:
                try:
                    done = _perform(task, order, job, converter)
                except _Unwritable:
                    raise
                except Exception:
                    traceback.print_exc()
                    return Mistake(task.row.place)
            if isinstance(done.outcome, Failed) and not job.root.path.is_dir():
                return PlaceLost(f"the source {job.root.path} is not there any more", "bring it back")
            part.add(Entry(number=task.number, result=done.outcome), done.images)
            watch.end_row()
        if job.durable and job.images is not None:
            sync_disk(job.images)
        return part.finish()
    finally:
        part.close()


class _Done(NamedTuple):
    outcome: Outcome
    images: Mapping[str, bytes]


def _taken_over(stored: Stored | None, job: Job) -> _Done | None:
    """A row that was written before, when its images are still there, bit for bit; one that failed is tried again."""
    if stored is None or isinstance(stored.entry.result, Failed):
        return None
    if job.images is None:
        images = stored_images(stored)
        return None if images is None else _Done(stored.entry.result, images)
    for image in stored.entry.result.images:
        path = job.images / image.path
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != image.sha256:
            return None
    return _Done(stored.entry.result, {})


def _perform(task: Task, order: Order, job: Job, converter: Converter[Row]) -> _Done:
    """Convert a row, check it, and write its images; of a row that fails nothing is written."""
    if task.number in order.condemned:
        return _Done(Failed(reason=order.condemned[task.number]), {})
    converted = attempt(task, job.root, job.options, converter)
    if isinstance(converted, Failed):
        return _Done(converted, {})
    try:
        images = tuple(_store(job.images, path, data) for path, data in converted.images.items())
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            reason = f"its image can not be called as its source is ({error.strerror}); rename the source"
            return _Done(Failed(reason=reason), {})
        raise _Unwritable(f"images can not be written to {job.images} ({error.strerror})") from error
    return _Done(Written(line=msgspec.Raw(converted.line), images=images), converted.images)


class Attempt(NamedTuple):
    """A row's line of JSON and its images by path, not yet written anywhere."""

    line: bytes
    images: dict[str, bytes]


def attempt(task: Task, root: Root, options: Options, converter: Converter[Row]) -> Attempt | Failed:
    """Convert a row and check it."""
    media = Media(root, task.row, options)
    try:
        return Attempt(_line(task, converter, media), media.encoded)
    except DataError as error:
        return Failed(reason=str(error))
    except OSError as error:
        return Failed(reason=f"it can not be read ({error.strerror or error})")
    except MemoryError:
        return Failed(reason="it needs more memory than there is")


def _line(task: Task, converter: Converter[Row], media: Media) -> bytes:
    if task.row.problem is not None:
        raise DataError(task.row.problem)
    result = converter.convert(task.row, media)
    converted = result if isinstance(result, Converted) else Converted(turns=result)
    row = Conversation(
        id=task.id,
        source=converted.source or converter.about.name,
        conversations=tuple(converted.turns),
        metadata=converted.metadata,
    )
    try:
        line = msgspec.json.encode(row)
    except UnicodeEncodeError as error:
        raise DataError(f"its text holds half of a character ({error.reason}), which is no Unicode") from error
    errors = [found for found in check_line(line) if found.severity == "error"]
    if errors:
        raise DataError("; ".join(f"{found.code} {found.pointer}: {found.message}" for found in errors))
    return line


def _store(folder: Path | None, path: str, data: bytes) -> ImageFile:
    """Write an image, where images are files."""
    image = ImageFile(path, len(data), hashlib.sha256(data).hexdigest())
    if folder is None or image in _written:  # rows near one another can share an image
        return image
    with new_file(folder / path, durable=False) as file:
        file.write(data)
    if len(_written) >= MAX_WRITTEN:
        _written.clear()
    _written.add(image)
    return image
