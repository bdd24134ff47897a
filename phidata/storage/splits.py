"""Writes the splits of a data folder, in every shape, and at last what makes the folder whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from phidata.records import Conversation
from phidata.storage.card import data_card
from phidata.storage.folder import CARD, MANIFEST
from phidata.storage.manifest import DataFile, Manifest
from phidata.storage.shape import SHARD_BYTES, Shape, check_data_name, check_split_name
from phidata.storage.shards import ClosedShard, ShardedWriter, ShardFile
from phidata.storage.sink import new_file, sync_folder


class SplitWriter(Protocol):
    """Writes one split. Nothing has its final name before `finish`, except the images of the shape images-jsonl."""

    def add(self, row: Conversation, images: Sequence[bytes]) -> None:
        """Write a row and its encoded images, one for each path of `row.images`, in their order."""

    def finish(self) -> tuple[DataFile, ...]:
        """Write what is left, name the files and return them in the order of their rows."""

    def discard(self) -> None:
        """Remove what has no final name yet."""


def split_writer(shape: Shape, root: Path, *, name: str, split: str, shard_bytes: int = SHARD_BYTES) -> SplitWriter:
    """Begin a split from nothing; shards of it that an earlier run has left are removed.

    A shard is closed before the row with which its images and rows, counted as JSON, would be more than `shard_bytes`,
    so that the same rows give the same shards, byte for byte. Memory: one batch of rows, about a megabyte,
    whatever the size of the split.
    """
    check_data_name(name)
    check_split_name(split)
    if shape == "images-jsonl":
        from phidata.storage.images_jsonl import ImagesJsonlWriter

        return ImagesJsonlWriter(root, name=name, split=split)
    return ShardedWriter(root, shape, split, shard_bytes=shard_bytes, begin=_begin_shard(shape))


def continued_writer(
    shape: Shape,
    root: Path,
    *,
    split: str,
    shard_bytes: int,
    closed: Sequence[ClosedShard],
    keep: Callable[[ClosedShard], ClosedShard],
) -> SplitWriter:
    """Begin or continue a split of a shape that has shards, see `ShardedWriter`; `closed` are those written before."""
    return ShardedWriter(
        root, shape, split, shard_bytes=shard_bytes, begin=_begin_shard(shape), closed=closed, keep=keep
    )


def finish_folder(root: Path, manifest: Manifest) -> None:
    """Write what makes a folder of finished splits whole: its card, what the shape's reader wants, its manifest."""
    files = {CARD: data_card(manifest).encode(), **companions(manifest)}
    for name, content in files.items():
        with new_file(root / name) as file:
            file.write(content)
    _sync()  # images take their names without waiting for the disk: one wait for all of them is enough
    with new_file(root / MANIFEST) as file:
        file.write(manifest.to_json())
    sync_folder(root)  # what is removed from here on is not needed any more


def _sync() -> None:
    """Wait until the disks have everything; in a process of its own, which Ctrl-C leaves alone: nothing ends the wait
    of the process that waits."""
    nothing = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in range(3)]
    command = [sys.executable, "-I", "-S", "-c", "import os; os.sync()"]
    waiting = os.posix_spawn(sys.executable, command, os.environ, file_actions=nothing)
    if os.waitpid(waiting, 0)[1]:
        os.sync()


def companions(manifest: Manifest) -> dict[str, bytes]:
    """What lies beside the files of rows for the sake of `datasets.load_from_disk`, by path; it follows from them."""
    if manifest.shape != "arrow":
        return {}
    from phidata.storage.arrow import folder_files, state_files

    return folder_files(list(manifest.splits)) | {
        f"{split}/{name}": content
        for split, ledger in manifest.splits.items()
        for name, content in state_files(split, ledger.files).items()
    }


def shape_versions(shape: Shape) -> dict[str, str]:
    """The versions of the libraries that decide the bytes of this shape's files, for the manifest."""
    return {"pyarrow": version("pyarrow")} if shape in ("arrow", "parquet") else {}


def _begin_shard(shape: Shape) -> Callable[[Path], ShardFile]:
    if shape == "webdataset":
        from phidata.storage.webdataset import WebDatasetShardFile

        return WebDatasetShardFile
    if shape == "arrow":
        from phidata.storage import arrow

        return arrow.begin_shard
    from phidata.storage import parquet

    return parquet.begin_shard
