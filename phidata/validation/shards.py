"""Shards as ranges of rows that can be checked apart from the others: the same rules, the row in place of the line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from phidata.diagnostics import Diagnostic, image_rules, line_rules
from phidata.errors import DataError
from phidata.media.defect import Defect
from phidata.media.probe import probe
from phidata.media.sizes import image_size
from phidata.media.sound import HEAD_BYTES, has_sound_header
from phidata.validation.accept import AcceptedRow
from phidata.validation.images import image_faults, image_names, strictness
from phidata.validation.inputs import Media
from phidata.validation.row import line_diagnostic
from phidata.validation.scan import Fault, Scan

if TYPE_CHECKING:
    from phidata.validation.column_shard import ColumnShard
    from phidata.validation.tar_shard import TarShard


_ARROW_FILE = b"ARROW1"
_AS_STREAM = "write it anew with pyarrow.ipc.new_stream"


@dataclass(frozen=True, kw_only=True)
class RowRange:
    """The rows `start` … `end - 1` of a shard, counted from 0."""

    path: str
    start: int
    end: int


class Shard(Protocol):
    """A shard that is open; places of rows are counted from the start of the shard."""

    def ranges(self) -> Iterator[RowRange]:
        """All its rows, in order."""

    def lines(self, rows: RowRange) -> list[bytes]:
        """Each row as the line of a jsonl file that it would be."""

    def encoded(self, place: int) -> Sequence[bytes | None]:
        """The images of a row as they are stored; None for one that is not there."""

    def lengths(self, place: int) -> Sequence[int | None] | None:
        """The bytes of each image of a row, without reading them; None when that can not be known."""


def open_shard(path: str) -> TarShard | ColumnShard:
    """Open a shard by its name's ending; the last ones stay open, since the index of a tar takes a while.

    Raises DataError when it is damaged or holds no conversations.
    """
    if path.endswith(".arrow"):
        with open(path, "rb") as file:  # noqa: PTH123
            if file.read(len(_ARROW_FILE)) == _ARROW_FILE:
                raise DataError(f"{path} is an Arrow IPC file, and a shard is an Arrow IPC stream; {_AS_STREAM}")
    status = Path(path).stat()
    return _opened(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _opened(path: str, mtime_ns: int, num_bytes: int) -> TarShard | ColumnShard:  # noqa: ARG001 - they tell files apart
    if path.endswith(".tar"):
        from phidata.validation.tar_shard import TarShard

        return TarShard(Path(path))
    from phidata.validation.column_shard import ColumnShard

    return ColumnShard(Path(path))


class ShardImages:
    """The images in a shard, looked at as closely as `media` says."""

    def __init__(self, shard: Shard, media: Media) -> None:
        self._shard = shard
        self._media = media
        self.are_looked_at = media != "none"

    def strict(self) -> AbstractContextManager[object]:
        """What to be inside of while many images are looked at."""
        return strictness(self._media)

    def are_sound(self, place: int, row: AcceptedRow | int) -> bool:
        """Whether nothing is wrong with any image of the row, which may be given by how many it has."""
        if not self.are_looked_at:
            return True
        num_images = row if isinstance(row, int) else sum(len(turn.images) for turn in row.conversations)
        return not any(self._defects(place, num_images))

    def faults(self, place: int, scan: Scan) -> Iterator[Fault]:
        """What is wrong with the images of a row."""
        if not self.are_looked_at:
            return
        named = list(image_names(scan))
        for (path, name), defects in zip(named, self._defects(place, len(named)), strict=True):
            yield from image_faults(scan, path, name, defects)

    def sizes(self, place: int, row: AcceptedRow) -> list[tuple[int, int] | None]:
        """(width, height) of each image of the row; None for one that can not be opened."""
        num_images = sum(len(turn.images) for turn in row.conversations)
        found = [None if data is None else image_size(data) for data in self._shard.encoded(place)]
        return (found + [None] * num_images)[:num_images]

    def _defects(self, place: int, num_images: int) -> list[list[Defect]]:
        if not num_images:
            return []
        found: Sequence[int | bytes | None]
        if self._media == "exists":
            found = self._shard.lengths(place) or [1] * num_images
        else:
            found = self._shard.encoded(place)
        return [self._look(image) for image in ([*found] + [None] * num_images)[:num_images]]

    def _look(self, image: int | bytes | None) -> list[Defect]:
        if image is None:
            return [Defect(image_rules.IMAGE_MISSING, "is not in the shard")]
        if not image:
            return [Defect(image_rules.IMAGE_EMPTY, "has no bytes in the shard")]
        if isinstance(image, int) or (self._media == "header" and has_sound_header(image[:HEAD_BYTES])):
            return []
        return probe(image, decode=self._media == "decode")


def unreadable_shard(path: str, error: DataError) -> Diagnostic:
    """The finding for a shard that can not be opened, or read on."""
    message = str(error).removeprefix(f"{path} ").removeprefix(f"{path}: ")
    return line_diagnostic(b"", line_rules.SHARD_UNREADABLE, f"this file {message}", path=path, number=1)
