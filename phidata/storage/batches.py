"""Writes rows and images as record batches, into a shard of Arrow or Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow as pa

from phidata.records import Conversation
from phidata.storage.columns import ANSWERS, IMAGE, SCHEMA, TURN
from phidata.storage.unnamed import UnnamedFile

MAX_ROWS = 1000  # of a batch


class BatchWriter(Protocol):
    """What writes Arrow streams and Parquet files alike."""

    def write_batch(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


class BatchShardFile:
    """One shard being written, batch by batch; a batch ends before the row with which it would be more than
    `batch_bytes`, by the rows as JSON and the images alone."""

    def __init__(self, folder: Path, begin: Callable[[pa.PythonFile], BatchWriter], *, batch_bytes: int) -> None:
        self.file = UnnamedFile(folder)
        self._writer = begin(pa.PythonFile(self.file, mode="w"))
        self._builder = BatchBuilder()
        self._limit = batch_bytes
        self._num_bytes = 0

    def add(self, row: Conversation, line: bytes, images: Sequence[bytes]) -> None:
        num_bytes = len(line) + sum(map(len, images))
        if len(self._builder) == MAX_ROWS or (len(self._builder) and self._num_bytes + num_bytes > self._limit):
            self._write()
        self._builder.add(row, images)
        self._num_bytes += num_bytes

    def close(self) -> None:
        if len(self._builder):
            self._write()
        self._writer.close()
        self.file.close()

    def discard(self) -> None:
        if not self.file.closed:
            with suppress(OSError, pa.ArrowException):  # it writes its end, perhaps on a disk that is full
                self._writer.close()
        self.file.discard()

    def _write(self) -> None:
        self._writer.write_batch(self._builder.take())
        self._num_bytes = 0


class BatchBuilder:
    """Collects rows and images until they are taken as one record batch."""

    def __init__(self) -> None:
        self._clear()

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, row: Conversation, images: Sequence[bytes]) -> None:
        self._ids.append(row.id)
        self._sources.append(row.source)
        self._metadata.append(None if row.metadata is None else msgspec.json.encode(row.metadata).decode())
        for turn in row.conversations:
            self._users.append(turn.user)
            self._assistants.append(turn.assistant)
            self._answers.append(turn.answers)
            self._paths += turn.images
            self._image_ends.append(len(self._paths))
        self._turn_ends.append(len(self._users))
        self._images += images

    def take(self) -> pa.RecordBatch:
        """What was collected; the builder is empty afterwards."""
        images = pa.StructArray.from_arrays(
            [pa.array(self._images, pa.binary()), pa.array(self._paths, pa.string())], fields=list(IMAGE)
        )
        turns = pa.StructArray.from_arrays(
            [
                pa.ListArray.from_arrays(pa.array(self._image_ends, pa.int32()), images, type=pa.list_(IMAGE)),
                pa.array(self._users, pa.string()),
                pa.array(self._assistants, pa.string()),
                pa.array(self._answers, ANSWERS),
            ],
            fields=list(TURN),
        )
        columns = [
            pa.array(self._ids, pa.string()),
            pa.array(self._sources, pa.string()),
            pa.ListArray.from_arrays(pa.array(self._turn_ends, pa.int32()), turns, type=pa.list_(TURN)),
            pa.array(self._metadata, pa.string()),
        ]
        self._clear()
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

    def _clear(self) -> None:
        self._ids: list[str] = []
        self._sources: list[str] = []
        self._metadata: list[str | None] = []
        self._turn_ends = [0]
        self._users: list[str] = []
        self._assistants: list[str] = []
        self._answers: list[tuple[str, ...] | None] = []
        self._image_ends = [0]
        self._paths: list[str] = []
        self._images: list[bytes] = []
