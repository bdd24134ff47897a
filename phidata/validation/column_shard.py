"""Arrow and Parquet shards: clean rows are told by whole columns, and only the others become lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from phidata.storage.arrow import ArrowGroups
from phidata.storage.columns import image_bytes
from phidata.storage.parquet import ParquetGroups
from phidata.validation.column_texts import ColumnTexts, Mask, any_within, as_mask, list_lengths
from phidata.validation.shards import RowRange

ROWS = 4096  # of a range, about


class ColumnShard:
    """One shard; what was read last is kept. Threads can share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._groups = ArrowGroups(path) if path.suffix == ".arrow" else ParquetGroups(path)
        self._texts: tuple[RowRange, ColumnTexts] | None = None
        self._images: tuple[int, pa.RecordBatch] | None = None

    def __len__(self) -> int:
        return int(self._groups.bounds[-1])

    def ranges(self) -> Iterator[RowRange]:
        """All its rows, by whole groups."""
        start = 0
        for end in map(int, self._groups.bounds[1:]):
            if end - start >= ROWS or (end == len(self) and end > start):
                yield RowRange(path=str(self.path), start=start, end=end)
                start = end

    def texts(self, rows: RowRange) -> ColumnTexts:
        """The texts of a range."""
        kept = self._texts
        if kept is None or kept[0] != rows:
            first, last = self._groups_of(rows)
            batches = [self._groups.text(group) for group in range(first, last)]
            kept = self._texts = rows, ColumnTexts([batch for batch in batches if batch.num_rows])
        return kept[1]

    def lines(self, rows: RowRange) -> list[bytes]:
        """Each row as the line of a jsonl file that it would be."""
        return self.texts(rows).lines(range(rows.end - rows.start))

    def encoded(self, place: int) -> Sequence[bytes | None]:
        """The images of a row as they are stored."""
        found: list[bytes | None] = self._row_images(place).to_pylist()
        return found

    def lengths(self, place: int) -> Sequence[int | None] | None:
        """The bytes of each image; not known of Parquet, where they would have to be read."""
        if not self._groups.is_mapped:
            return None
        found: list[int | None] = pc.binary_length(self._row_images(place)).to_pylist()
        return found

    def absent(self, rows: RowRange) -> Mask:
        """Which rows of a range name an image that is not there or is empty; not known of Parquet."""
        found = np.zeros(rows.end - rows.start, np.bool_)
        if self._groups.is_mapped:
            first, last = self._groups_of(rows)
            masks = [_absent(self._groups.images(group).column("conversations")) for group in range(first, last)]
            found |= np.concatenate(masks)
        return found

    def _groups_of(self, rows: RowRange) -> tuple[int, int]:
        first, last = (int(np.searchsorted(self._groups.bounds, row, side="left")) for row in (rows.start, rows.end))
        return first, last

    def _row_images(self, place: int) -> pa.Array:
        group = int(np.searchsorted(self._groups.bounds, place, side="right")) - 1
        kept = self._images
        if kept is None or kept[0] != group:
            kept = self._images = group, self._groups.images(group)
        return image_bytes(kept[1], place - int(self._groups.bounds[group]))


def _absent(rows: pa.ListArray) -> Mask:
    turns = rows.flatten()
    images = turns.field("images")
    lengths = pc.binary_length(images.flatten().field("bytes")).fill_null(0)
    of_turn = any_within(as_mask(pc.equal(lengths, 0)), list_lengths(images))
    return any_within(of_turn, list_lengths(rows))
