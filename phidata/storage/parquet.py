"""Parquet shards: zstd, with row groups so small that one row can be read without much more than itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from phidata.errors import DataError
from phidata.storage.batches import BatchShardFile
from phidata.storage.columns import SCHEMA, check_columns, one_line

GROUP_BYTES = 1 << 19  # a row costs as much time in smaller ones, and reading all texts costs more


def begin_shard(folder: Path) -> BatchShardFile:
    """Begin a Parquet shard."""
    return BatchShardFile(folder, _writer, batch_bytes=GROUP_BYTES)


class ParquetGroups:
    """The row groups of one Parquet shard: texts and images are read apart, and when they are asked for.

    The file is open while it is read only: a split may have more shards than a process can have open files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with pq.ParquetFile(path, memory_map=True) as file:
                self._metadata, schema = file.metadata, file.schema_arrow
                leaves = [file.schema.column(number).path for number in range(len(file.schema.names))]
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a whole Parquet file ({one_line(error)}); copy it again") from error
        check_columns(schema, path)
        rows = (self._metadata.row_group(group).num_rows for group in range(self._metadata.num_row_groups))
        self.bounds = np.cumsum([0, *rows])
        self._image_leaves = [leaf for leaf in leaves if leaf.startswith("conversations.") and leaf.endswith(".bytes")]
        self._text_leaves = [leaf for leaf in leaves if leaf not in self._image_leaves]

    def text(self, group: int) -> pa.RecordBatch:
        return self._read([group], self._text_leaves)

    def texts(self, first: int, last: int) -> pa.RecordBatch:
        return self._read(range(first, last), self._text_leaves)

    def images(self, group: int) -> pa.RecordBatch:
        return self._read([group], self._image_leaves)

    @property
    def is_mapped(self) -> bool:
        return False

    def _read(self, groups: Sequence[int], leaves: list[str]) -> pa.RecordBatch:
        try:
            with pq.ParquetFile(
                self.path, metadata=self._metadata, memory_map=True, pre_buffer=False, page_checksum_verification=True
            ) as file:
                table = file.read_row_groups(groups, columns=leaves, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{self.path} is damaged in row group {groups[0]} ({one_line(error)}); copy it again"
            ) from error
        return table.combine_chunks().to_batches()[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetGroups, (self.path,)


def _writer(file: pa.PythonFile) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        file,
        SCHEMA,
        compression="zstd",
        use_dictionary=["source"],
        write_page_checksum=True,
        write_statistics=False,  # they would repeat texts and pictures in the footer
    )
