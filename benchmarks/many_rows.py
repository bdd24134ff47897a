"""Folders of many small rows, made cheaply: the same thousand rows again and again, with ids of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from phidata import Conversation, Turn
from phidata.storage.arrow import folder_files, state_files
from phidata.storage.batches import BatchBuilder
from phidata.storage.columns import SCHEMA
from phidata.storage.manifest import DataFile

BATCH_ROWS = 1000
SHARD_BATCHES = 4000  # of small rows about 512 MB

ID = "row-%010d"


def write_many(folder: Path, num_rows: int) -> None:
    """Write `images-jsonl`, `arrow` and `parquet` with as many rows, a multiple of 1000; the images are not there."""
    num_batches = num_rows // BATCH_ROWS
    write_lines(folder / "images-jsonl", num_batches)
    write_shards(folder / "arrow", "arrow", "train", num_batches)
    write_shards(folder / "parquet", "parquet", "data", num_batches)


def rows() -> Iterator[Conversation]:
    for number in range(BATCH_ROWS):
        turn = Turn(images=("train/a.png",), user=f"What is in picture {number}?", assistant=f"Thing {number % 91}.")
        yield Conversation(id=ID % 0, source="many", conversations=(turn,))


def write_lines(folder: Path, num_batches: int) -> None:
    (folder / "images").mkdir(parents=True)
    lines = [msgspec.json.encode(row).decode().replace(ID % 0, ID) for row in rows()]
    with (folder / "many_train.jsonl").open("w") as file:
        for first in range(0, num_batches * BATCH_ROWS, BATCH_ROWS):
            file.write("".join(f"{line % (first + number)}\n" for number, line in enumerate(lines)))
    write_manifest(folder, "images-jsonl", {"many_train.jsonl": num_batches * BATCH_ROWS})


def write_shards(folder: Path, shape: str, below: str, num_batches: int) -> None:
    builder = BatchBuilder()
    for row in rows():
        builder.add(row, [b""])
    [_, *columns] = builder.take().columns
    starts = range(0, num_batches, SHARD_BATCHES)
    counts: dict[str, int] = {}
    (folder / below).mkdir(parents=True)
    for number, start in enumerate(starts):
        name = f"{below}/train-{number:05}-of-{len(starts):05}.{shape}"
        batches = range(start, min(start + SHARD_BATCHES, num_batches))
        with closing(begin(folder / name, shape)) as writer:
            for first in range(batches.start * BATCH_ROWS, batches.stop * BATCH_ROWS, BATCH_ROWS):
                ids = pa.array([ID % row for row in range(first, first + BATCH_ROWS)])
                writer.write_batch(pa.RecordBatch.from_arrays([ids, *columns], schema=SCHEMA))
        counts[name] = len(batches) * BATCH_ROWS
    write_manifest(folder, shape, counts)
    if shape == "arrow":
        files = [DataFile(name=name, rows=count, bytes=0, sha256="") for name, count in counts.items()]
        for name, content in folder_files(["train"]).items():
            (folder / name).write_bytes(content)
        for name, content in state_files("train", files).items():
            (folder / "train" / name).write_bytes(content)


def begin(path: Path, shape: str) -> Any:
    if shape == "arrow":
        return pa.ipc.new_stream(str(path), SCHEMA)
    return pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=["source"], write_page_checksum=True)


def write_manifest(folder: Path, shape: str, counts: dict[str, int]) -> None:
    """What of a manifest is needed to open a folder."""
    files = [{"name": name, "rows": count} for name, count in counts.items()]
    manifest = {"name": "many", "shape": shape, "splits": {"train": {"files": files}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
