"""Writes a data set as WebDataset shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import phidata
from phidata.console import progress
from phidata.exporting.result import Exported, Refusal, Unfit, counted, refusal_of, report
from phidata.loading import ConversationData
from phidata.storage.folder import DataFolder
from phidata.storage.writer import DatasetWriter


def export_shards(
    source: DataFolder, splits: dict[str, ConversationData], out: Path, *, skip_refused: bool, shard_bytes: int
) -> Exported:
    """Write a data folder of the shape webdataset."""
    refused = [refusal for split, rows in splits.items() for refusal in _repeated(split, rows)]
    num_rows = sum(map(len, splits.values()))
    report(refused, "webdataset", num_rows, skip_refused=skip_refused)
    left_out = {(refusal.split, refusal.number) for refusal in refused}
    with (
        DatasetWriter(
            out,
            name=source.name,
            converter="export",
            versions={"phidata": phidata.__version__},
            splits=tuple(splits),
            shape="webdataset",
            source={"kind": "folder", "name": source.name, "rows": num_rows},
            shard_bytes=shard_bytes,
        ) as writer,
        progress(num_rows, "export webdataset") as bar,
    ):
        for split, rows in splits.items():
            for number, row in enumerate(rows):
                if (split, number) not in left_out:
                    writer.add(split, row, rows.image_bytes(number))
                bar.update()
        for refusal in refused:
            writer.skip(refusal.split, refusal.code, id=refusal.id)
        manifest = writer.finish()
    return Exported(
        to="webdataset",
        out=str(out),
        splits={
            split: counted(ledger.files[0].name, ledger.rows_in, ledger.skipped)
            for split, ledger in manifest.splits.items()
        },
        refused=tuple(refused),
        num_images=manifest.images.num,
        num_linked=0,
        image_bytes=manifest.images.bytes,
    )


def _repeated(split: str, rows: ConversationData) -> Iterator[Refusal]:
    """The rows that readers of a tar would take for one with the row before."""
    last: str | None = None
    for number, row in enumerate(rows):
        if row.id == last:
            unfit = Unfit("repeated-id", "the row before has the same id, and readers of a tar would take them for one")
            yield refusal_of(split, rows, number, unfit)
        last = row.id
