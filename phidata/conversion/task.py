"""What a worker is given: a row, and what all rows of a conversion share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phidata.conversion.converter import Row
from phidata.conversion.options import Options
from phidata.storage.source import Root


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all rows of a conversion share: sent to each worker once.

    `images` is the folder of images, None where they lie in the parts. `tasks` is the file with the tasks of all
    ranges, `parts` the folder of what becomes of them. With `durable` the images of a range are on the disk before its
    part is: its machine may be lost, and what others do goes on.
    """

    converter: str
    root: Root
    options: Options
    images: Path | None
    tasks: Path
    parts: Path
    durable: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """One row to convert, its number in the order of the source, and the id it gets."""

    number: int
    id: str
    row: Row
