"""Arrow shards: IPC streams of record batches, as `datasets.load_from_disk` maps them into memory; not compressed,
because a compressed stream would be unpacked into memory as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from phidata.errors import DataError
from phidata.storage.batches import BatchShardFile
from phidata.storage.columns import FEATURES, SCHEMA, check_columns, one_line
from phidata.storage.manifest import DataFile

END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
BATCH_BYTES = 1 << 20


def begin_shard(folder: Path) -> BatchShardFile:
    """Begin an Arrow shard."""
    return BatchShardFile(folder, lambda file: pa.ipc.new_stream(file, SCHEMA), batch_bytes=BATCH_BYTES)


class ArrowGroups:
    """The record batches of one Arrow shard, mapped into memory: only what is asked for is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._batches = batches_of(map_shard(path), path)
        self._checked: set[int] = set()
        self.bounds = np.cumsum([0, *(batch.num_rows for batch in self._batches)])

    def text(self, group: int) -> pa.RecordBatch:
        batch = self._batches[group]
        if group not in self._checked:  # what is mapped is used as it is: wrong offsets would lead out of the file
            try:
                batch.validate(full=True)
            except pa.ArrowException as error:
                raise damage(self.path, group, error) from error
            self._checked.add(group)
        return batch

    def texts(self, first: int, last: int) -> pa.RecordBatch:
        return pa.Table.from_batches(map(self.text, range(first, last))).combine_chunks().to_batches()[0]

    def images(self, group: int) -> pa.RecordBatch:
        return self.text(group)

    @property
    def is_mapped(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrowGroups, (self.path,)


def map_shard(path: Path) -> pa.Buffer:
    """A shard as it lies in the file, which need not stay open. Raises DataError for one that is cut short."""
    try:
        with pa.memory_map(str(path)) as file:
            content = file.read_buffer()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} can not be read as an Arrow stream ({one_line(error)}); copy it again") from error
    if content[-len(END_OF_STREAM) :].to_pybytes() != END_OF_STREAM:
        raise DataError(f"{path} is cut short: it does not end as an Arrow stream does; copy it again")
    return content


def batches_of(content: pa.Buffer, path: Path) -> list[pa.RecordBatch]:
    """The record batches of a mapped shard. Raises DataError when they are not those of conversations."""
    try:
        with pa.ipc.open_stream(content) as stream:
            check_columns(stream.schema, path)
            return list(stream)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can not be read as an Arrow stream ({one_line(error)}); copy it again") from error


def damage(path: Path, batch: int, error: Exception) -> DataError:
    """What is said of a record batch that Arrow refuses."""
    return DataError(f"{path} is damaged in record batch {batch} ({one_line(error)}); copy it again")


def state_files(split: str, files: Sequence[DataFile]) -> dict[str, bytes]:
    """What `datasets.load_from_disk` wants beside the shards of a split, by the files' names."""
    fingerprint = hashlib.sha256("".join(file.sha256 for file in files).encode()).hexdigest()[:16]
    state: dict[str, Any] = {
        "_data_files": [{"filename": Path(file.name).name} for file in files],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    info = {"features": FEATURES}
    return {name: _json(value) for name, value in (("state.json", state), ("dataset_info.json", info))}


def folder_files(splits: Sequence[str]) -> dict[str, bytes]:
    """What it wants in the data folder itself."""
    return {"dataset_dict.json": _json({"splits": list(splits)})}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=2).encode() + b"\n"
