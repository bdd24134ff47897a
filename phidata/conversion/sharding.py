"""From the parts to the shards of each split, so that a killed run goes on with the shard that it was at.

A part is removed as soon as all its rows are in shards that are closed and written down: beside the parts there need be
room for one shard only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from phidata.console import Progress, progress
from phidata.conversion.listing import Listing, Range
from phidata.conversion.outcome import Written
from phidata.conversion.output import Output
from phidata.conversion.parts import part_path, read_part, remove_part
from phidata.conversion.request import Request
from phidata.records import Conversation
from phidata.storage.manifest import DataFile, ImageTree
from phidata.storage.shards import ClosedShard
from phidata.storage.sink import new_file
from phidata.storage.splits import continued_writer

_TALLY = "tally.json"

_decode_row = msgspec.json.Decoder(Conversation).decode
_decode_shards = msgspec.json.Decoder(list[ClosedShard]).decode


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of each range were written, and all their images."""

    written: list[int]
    images: ImageTree


class Sharding:
    """Writes the shards of one output. Raises DataError for a part that is damaged."""

    def __init__(self, output: Output, listing: Listing, request: Request) -> None:
        self._output = output
        self._listing = listing
        self._request = request
        self._folder = output.journal.shards
        self._written: list[int] = []

    def tally(self) -> Tally | None:
        """What a run has counted that was killed while it wrote shards; parts may be gone since. None before that."""
        return read_tally(self._folder)

    def begin(self, tally: Tally) -> None:
        """Begin or go on. From here on the rows that failed are not tried again."""
        self._written = tally.written
        if not (self._folder / _TALLY).exists():
            with new_file(self._folder / _TALLY) as file:
                file.write(msgspec.json.encode(tally))

    def write(self, split: str) -> tuple[DataFile, ...]:
        """Write or finish the shards of one split, in the order of the source."""
        closed = self._closed(split)
        num_done = sum(shard.rows for shard in closed)
        ranges = self._listing.of_split(split)
        total = sum(self._written[rows.number] for rows in ranges)
        consumed: list[tuple[int, Path]] = []  # parts, and how many rows there are up to the end of each
        writer = continued_writer(
            self._request.shape,
            self._output.root,
            split=split,
            shard_bytes=self._request.shard_bytes,
            closed=closed,
            keep=partial(self._keep, split, closed, consumed),
        )
        try:
            with progress(total, f"write {split}", done=num_done) as bar:
                for row, images in self._rows(ranges, num_done, consumed, bar):
                    writer.add(row, images)
            return writer.finish()
        except BaseException:
            writer.discard()
            raise

    def _rows(
        self, ranges: Sequence[Range], num_done: int, consumed: list[tuple[int, Path]], bar: Progress
    ) -> Iterator[tuple[Conversation, list[bytes]]]:
        """The written rows after the first `num_done`, with their images."""
        place = 0
        for rows in ranges:
            path = part_path(self._output.journal.parts, rows.number)
            end = place + self._written[rows.number]
            if end <= num_done:
                remove_part(path)
                place = end
                continue
            for entry, images in read_part(path, inline=True):
                if not isinstance(entry.result, Written):
                    continue
                place += 1
                if place > num_done:
                    by_path = {image.path: data for image, data in zip(entry.result.images, images, strict=True)}
                    row = _decode_row(entry.result.line)
                    yield row, [by_path[image] for image in row.images]
                    bar.update()
            consumed.append((place, path))

    def _keep(
        self, split: str, closed: list[ClosedShard], consumed: list[tuple[int, Path]], shard: ClosedShard
    ) -> ClosedShard:
        """Put a closed shard where the next run finds it, write it down, and remove the parts that are in it."""
        kept = self._folder / f"{split}-{len(closed):05}"
        Path(shard.path).replace(kept)
        closed.append(msgspec.structs.replace(shard, path=str(kept)))
        with new_file(self._folder / f"{split}.json") as file:
            file.write(msgspec.json.encode(closed))
        num_rows = sum(one.rows for one in closed)
        while consumed and consumed[0][0] <= num_rows:
            remove_part(consumed.pop(0)[1])
        return closed[-1]

    def _closed(self, split: str) -> list[ClosedShard]:
        path = self._folder / f"{split}.json"
        return _decode_shards(path.read_bytes()) if path.exists() else []


def read_tally(folder: Path) -> Tally | None:
    """See `Sharding.tally`."""
    path = folder / _TALLY
    return msgspec.json.decode(path.read_bytes(), type=Tally) if path.exists() else None
