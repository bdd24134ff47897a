"""What every shape gives its readers: the rows of one split by number, and the bytes of their images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from phidata.records import Conversation


class RowStore(Protocol):
    """The rows of one split, numbered from 0. Can be shared by threads and sent to other processes."""

    @property
    def path(self) -> Path:
        """What messages call the store: its file, or the folder of its shards."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold the rows, in their order."""

    @property
    def image_root(self) -> Path | None:
        """The folder below which image paths start; None when images lie in the shards."""

    def __len__(self) -> int: ...

    def row(self, number: int) -> Conversation:
        """One row. Raises DataError, which names its place, when it is not a conversation."""

    def rows(self, numbers: range) -> Iterator[Conversation]:
        """Several rows, faster than one by one where they follow each other."""

    def images(self, number: int, num_images: int) -> list[bytes]:
        """The encoded first images of a row. Raises DataError for one that is not there; it does not name the row."""

    def missing_images(self, number: int) -> list[str]:
        """The paths of a row's images that are not there, without reading those that are."""

    def place(self, number: int) -> str:
        """Where a row stands, for messages: `data/x_train.jsonl:5`, `data/train-00000-of-00002.parquet: row 5`."""
