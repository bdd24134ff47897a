"""Makes a whole data folder from rows and images; the folder is there when it is finished, and not before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from phidata.errors import DataError
from phidata.records import Conversation
from phidata.storage.image_list import ImageList, joined
from phidata.storage.ledger import LedgerLine, ledgers, write_ledger
from phidata.storage.manifest import FORMAT_VERSION, Identity, Manifest
from phidata.storage.place import NewFolder
from phidata.storage.shape import SHARD_BYTES, Shape
from phidata.storage.splits import SplitWriter, finish_folder, shape_versions, split_writer

__all__ = ["DatasetWriter", "SplitWriter", "finish_folder", "shape_versions", "split_writer"]


class DatasetWriter:
    """A data folder being made beside its place, or hidden in it, which it takes when `finish` ends well.

    To be used in a `with` block, which leaves nothing behind when it ends without `finish`:

        versions = {"phidata": phidata.__version__}
        with DatasetWriter(out, name="birds", converter="merge", versions=versions, splits=("train",)) as writer:
            writer.add("train", row, images)
            writer.skip("train", "is a duplicate", id="bird-7")
            manifest = writer.finish()

    Rows may come in any order of the splits, which stand in the manifest as `splits` names them. `converter` says what
    makes the folder, `options` and `source` from what: none of them may tell the time or the place.

    Raises UsageError when `out` holds anything, or when another process is making it; in the block a full disk becomes
    a DataError.
    """

    def __init__(
        self,
        out: str | Path,
        *,
        name: str,
        converter: str,
        versions: Mapping[str, str],
        splits: Sequence[str],
        shape: Shape = "images-jsonl",
        options: Mapping[str, Any] | None = None,
        source: Identity | None = None,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self.root = Path(out)
        self._place = NewFolder(self.root)
        try:
            self._writers: dict[str, SplitWriter] = {
                split: split_writer(shape, self._place.path, name=name, split=split, shard_bytes=shard_bytes)
                for split in splits
            }
        except BaseException:
            self._place.close()
            raise
        self._images = {split: ImageList() for split in splits}
        self._written: Counter[str] = Counter()
        self._lost: list[LedgerLine] = []
        self._blank = Manifest(
            format_version=FORMAT_VERSION,
            name=name,
            converter=converter,
            shape=shape,
            versions={**versions, **shape_versions(shape)},
            options=dict(options or {}),
            source=source or {"kind": "folder"},
            rows=ledgers((), {})[0],
            splits={},
            images=ImageList().tree(),
        )

    def add(self, split: str, row: Conversation, images: Sequence[bytes]) -> None:
        """Write a row and its encoded images, one for each path of `row.images`, in their order.

        Raises DataError when a path stands for two different images.
        """
        for path, data in zip(row.images, images, strict=True):
            try:
                self._images[split].add(path, data)
            except DataError as error:
                raise DataError(f"row {row.id!r}: {error}") from error
        self._writers[split].add(row, images)
        self._written[split] += 1

    def skip(self, split: str | None, reason: str, *, id: str | None = None, count: int = 1) -> None:
        """Account for rows that are left out on purpose; `id` where it is one."""
        self.account(LedgerLine(split=split, outcome="skipped", count=count, reason=reason, id=id))

    def fail(self, split: str | None, reason: str, *, id: str | None = None, count: int = 1) -> None:
        """Account for rows that could not be written."""
        self.account(LedgerLine(split=split, outcome="failed", count=count, reason=reason, id=id))

    def account(self, line: LedgerLine) -> None:
        """Account for rows that are not written, by a line of the ledger."""
        if line.split is not None and line.split not in self._writers:
            raise KeyError(line.split)
        self._lost.append(line)

    def finish(self) -> Manifest:
        """Write card, ledger and manifest, and let the folder take its place."""
        files = {split: writer.finish() for split, writer in self._writers.items()}
        written = (
            LedgerLine(split=split, outcome="written", count=self._written[split])
            for split in files
            if self._written[split]
        )
        lines = [*written, *self._lost]
        write_ledger(self._place.path, lines)
        rows, splits = ledgers(lines, files)
        images = joined(self._images.values()).tree()
        manifest = msgspec.structs.replace(self._blank, rows=rows, splits=splits, images=images)
        finish_folder(self._place.path, manifest)
        self._place.become_final()
        return manifest

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self._place.is_final:
                for writer in self._writers.values():
                    writer.discard()
        finally:
            self._place.__exit__(kind, error, trace)
