"""One range of one file, checked: what a process of a run does, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from phidata.errors import DataError
from phidata.validation.checks import Checks
from phidata.validation.images import FileImages
from phidata.validation.inputs import DataFile
from phidata.validation.lines import LineRange, read_lines
from phidata.validation.part import RANGE_BYTES, LinesCheck, Part, RowsCheck
from phidata.validation.seen import Slots
from phidata.validation.shards import RowRange, ShardImages, open_shard, unreadable_shard

if TYPE_CHECKING:
    from phidata.validation.column_shard import ColumnShard

Range = LineRange | RowRange
Task = tuple[DataFile, Range]


class PartCheck:
    """Checks ranges of files, one after the other; each process of a run has one of its own."""

    def __init__(self, checks: Checks, slots: Slots) -> None:
        self._checks = checks
        self._of_rows = checks.of_rows()
        self._slots = slots
        self._images: dict[str, FileImages] = {}

    def __call__(self, task: Task) -> Part:
        """All that can be said about some rows without knowing others; lines count from the first of them, rows of a
        shard from the start of the shard."""
        file, rows = task
        if isinstance(rows, LineRange):
            read = read_lines(rows, RANGE_BYTES[self._checks.media])
            return LinesCheck(file, read, self._images_below(file.images or ""), self._of_rows).run()
        try:
            return self._check_shard(file, rows)
        except DataError as error:
            num_rows = rows.end - rows.start
            damaged = unreadable_shard(file.path, error)
            return Part(num_lines=num_rows, rows=num_rows, ids=[None] * num_rows, diagnostics=[damaged])

    def _check_shard(self, file: DataFile, rows: RowRange) -> Part:
        shard = open_shard(file.path)
        images = ShardImages(shard, self._checks.media)
        if shard.path.suffix != ".tar" and not self._of_rows:
            return self._check_columns(file, rows, cast("ColumnShard", shard), images)
        lines = shard.lines(rows)
        return RowsCheck(file, lines, images, self._of_rows, first=rows.start, in_shard=True).run()

    def _check_columns(self, file: DataFile, rows: RowRange, shard: ColumnShard, images: ShardImages) -> Part:
        """Whole columns tell which rows are clean; only the others become lines."""
        texts = shard.texts(rows)
        suspects = texts.suspects()
        if self._checks.media == "exists":
            suspects |= shard.absent(rows)
        elif self._checks.media != "none":
            suspects |= [
                not images.are_sound(rows.start + place, num) for place, num in enumerate(texts.num_images.tolist())
            ]
        part = Part(
            num_lines=len(texts),
            rows=len(texts),
            turns=int(texts.num_turns.sum()),
            images=int(texts.num_images.sum()),
            ids=texts.ids(),
        )
        places = [int(place) for place in suspects.nonzero()[0]]
        for place, line in zip(places, texts.lines(places), strict=True):
            first = rows.start + place
            part.diagnostics += RowsCheck(file, [line], images, None, first=first, in_shard=True).run().diagnostics
        return part

    def _images_below(self, root: str) -> FileImages:
        if root not in self._images:
            self._images[root] = FileImages(root, self._checks.media, self._slots)
        return self._images[root]


def range_lines(rows: Range, range_bytes: int) -> Sequence[bytes]:
    """The lines of a range, read again."""
    if isinstance(rows, LineRange):
        return read_lines(rows, range_bytes).split()
    return open_shard(rows.path).lines(rows)
