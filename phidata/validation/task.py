"""One range of one file, checked: what a process of a run does, again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from phidata.errors import DataError
from phidata.validation.checks import Checks
from phidata.validation.id_hashes import id_hashes
from phidata.validation.images import FileImages
from phidata.validation.inputs import DataFile
from phidata.validation.lines import LineRange, read_blocks, read_lines
from phidata.validation.part import BLOCK_BYTES, LinesCheck, Part, RowsCheck
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

    def __call__(self, task: Task) -> Iterator[Part]:
        """All that can be said about some rows without knowing others, a part after the other; lines count from the
        first of the rows, rows of a shard from the start of the shard."""
        file, rows = task
        if isinstance(rows, LineRange):
            blocks = read_blocks(rows, BLOCK_BYTES)
            return LinesCheck(file, self._images_below(file.images or ""), self._of_rows).run(blocks)
        return self._check_shard(file, rows)

    def _check_shard(self, file: DataFile, rows: RowRange) -> Iterator[Part]:
        num_checked = 0
        try:
            for part in self._shard_parts(file, rows):
                yield part
                num_checked += part.num_lines
        except DataError as error:
            num_left = rows.end - rows.start - num_checked
            damaged = unreadable_shard(file.path, error)
            hashes = id_hashes([None] * num_left)
            yield Part(num_lines=num_left, rows=num_left, id_hashes=hashes, diagnostics=[damaged])

    def _shard_parts(self, file: DataFile, rows: RowRange) -> Iterator[Part]:
        shard = open_shard(file.path)
        images = ShardImages(shard, self._checks.media)
        if shard.path.suffix != ".tar" and not self._of_rows:
            yield self._check_columns(file, rows, cast("ColumnShard", shard), images)
            return
        check = RowsCheck(file, images, self._of_rows, first=rows.start, in_shard=True)
        yield from check.check(shard.lines(rows))
        yield check.end()

    def _check_columns(self, file: DataFile, rows: RowRange, shard: ColumnShard, images: ShardImages) -> Part:
        """Whole columns tell which rows are clean; only the others become lines."""
        texts = shard.texts(rows)
        suspects = texts.suspects()
        if self._checks.media == "exists":
            suspects |= shard.absent(rows)
        elif self._checks.media != "none":
            with images.strict():
                suspects |= [
                    not images.are_sound(rows.start + place, num) for place, num in enumerate(texts.num_images.tolist())
                ]
        part = Part(
            num_lines=len(texts),
            rows=len(texts),
            turns=int(texts.num_turns.sum()),
            images=int(texts.num_images.sum()),
            id_hashes=id_hashes(texts.ids()),
        )
        places = [int(place) for place in suspects.nonzero()[0]]
        for place, line in zip(places, texts.lines(places), strict=True):
            check = RowsCheck(file, images, None, first=rows.start + place, in_shard=True)
            part.diagnostics += [found for own in (*check.check([line]), check.end()) for found in own.diagnostics]
        return part

    def _images_below(self, root: str) -> FileImages:
        if root not in self._images:
            self._images[root] = FileImages(root, self._checks.media, self._slots)
        return self._images[root]


def range_lines(rows: Range, range_bytes: int) -> Sequence[bytes]:
    """The lines of a range, read again."""
    if isinstance(rows, LineRange):
        return read_lines(rows, range_bytes).lines
    return open_shard(rows.path).lines(rows)
