"""A worker process: converts one row after the other for as long as its parent asks.

Started by `phidata.conversion.pool`. When the parent dies, in whatever way, the pipe ends and so does the worker.
"""

from __future__ import annotations

import errno
import hashlib
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec

from phidata.conversion.converter import Converted, Converter, Row, find_converter
from phidata.conversion.media import Media
from phidata.conversion.options import Options
from phidata.conversion.outcome import Failed, ImageFile, Outcome, Written
from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.sink import new_file
from phidata.storage.source import Root
from phidata.validation import check_line

MAX_WRITTEN = 1024
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)

_written: set[ImageFile] = set()  # the last images that this process has written


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all rows of a conversion share: sent to each worker once."""

    converter: str
    root: Root
    images: Path
    options: Options


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row to convert, its number in the order of the source, and the id it gets."""

    number: int
    id: str
    row: Row


@dataclass(frozen=True)
class OutputLost:
    """The output can not be written: no row's fault, and no row can be converted until that is mended."""

    reason: str


def main() -> None:
    """Serve the parent at the other end of the pipe that the last argument names."""
    with Connection(int(sys.argv[-1])) as parent:
        try:
            job: Job = parent.recv()
            converter = find_converter(job.converter)
            while True:
                parent.send(perform(parent.recv(), job, converter))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def perform(task: Task, job: Job, converter: Converter[Row]) -> Outcome | OutputLost:
    """Convert a row, check it, and write its images; of a row that fails nothing is written."""
    converted = attempt(task, job, converter)
    if isinstance(converted, Failed):
        return converted
    try:
        images = tuple(_write(job.images, path, data) for path, data in converted.images.items())
    except OSError as error:
        if error.errno in _NAME_ERRORS:
            return Failed(reason=f"its image can not be called as its source is ({error.strerror}); rename the source")
        return OutputLost(f"images can not be written to {job.images} ({error.strerror})")
    return Written(line=msgspec.Raw(converted.line), images=images)


class Attempt(NamedTuple):
    """A row's line of JSON and its images by path, not yet written anywhere."""

    line: bytes
    images: dict[str, bytes]


def attempt(task: Task, job: Job, converter: Converter[Row]) -> Attempt | Failed:
    """Convert a row and check it."""
    media = Media(job.root, task.row, job.options)
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


def _write(folder: Path, path: str, data: bytes) -> ImageFile:
    image = ImageFile(path, len(data), hashlib.sha256(data).hexdigest())
    if image not in _written:  # rows near one another can share an image
        with new_file(folder / path, durable=False) as file:
            file.write(data)
        if len(_written) >= MAX_WRITTEN:
            _written.clear()
        _written.add(image)
    return image
