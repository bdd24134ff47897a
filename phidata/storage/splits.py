"""Writes the splits of a data folder, in every shape, and at last what makes the folder whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from phidata.records import Conversation
from phidata.storage.card import data_card
from phidata.storage.folder import CARD, MANIFEST
from phidata.storage.manifest import DataFile, Manifest
from phidata.storage.shape import SHARD_BYTES, Shape, check_data_name, check_split_name
from phidata.storage.sink import new_file


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
    so that the same rows give the same shards, byte for byte. Memory: a row group of about a megabyte, whatever the
    size of the split.
    """
    check_data_name(name)
    check_split_name(split)
    if shape == "images-jsonl":
        from phidata.storage.images_jsonl import ImagesJsonlWriter

        return ImagesJsonlWriter(root, name=name, split=split)
    raise NotImplementedError(f"{shape}, {shard_bytes}")


def finish_folder(root: Path, manifest: Manifest) -> None:
    """Write what makes a folder of finished splits whole: its card, and last its manifest."""
    with new_file(root / CARD) as file:
        file.write(data_card(manifest).encode())
    os.sync()  # images take their names without waiting for the disk: one wait for all of them is enough
    with new_file(root / MANIFEST) as file:
        file.write(manifest.to_json())
