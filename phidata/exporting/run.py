"""`phidata.export`: a data set of any shape in the format of another trainer."""

from __future__ import annotations

from pathlib import Path

from phidata.errors import UsageError
from phidata.exporting.formats import FORMATS
from phidata.exporting.pictures import How
from phidata.exporting.records import export_records
from phidata.exporting.result import Exported
from phidata.exporting.shards import export_shards
from phidata.loading import open_data, open_folder
from phidata.storage.place import check_place
from phidata.storage.shape import SHARD_BYTES

TARGETS = (*FORMATS, "webdataset")
IMAGES: tuple[How, ...] = ("link", "copy", "reference")


def export(
    folder: str | Path,
    *,
    to: str,
    out: str | Path,
    images: str = "link",
    skip_refused: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> Exported:
    """Write a data folder of any shape as `llava`, `sharegpt`, `messages` or `swift` records, or as WebDataset shards.

    One file a split, `<split>.json` or `<split>.jsonl`, and beside it the images under the paths that the records
    name: as hard links, or copies where these can not be made ("link"), as copies ("copy"), or not at all, when the
    trainer is told of the data folder's own images ("reference"). `shard_bytes` is for webdataset.

    Raises DataError when there are rows that the format can not hold, after naming them on standard error, and writes
    nothing; with `skip_refused` the other rows are written, and these listed in `refused.tsv`. Raises UsageError for
    what can not be done as asked, and what `phidata.load` raises.
    """
    if to not in TARGETS:
        raise UsageError(f"no format {to!r}; there are {', '.join(TARGETS)}")
    how = next((known for known in IMAGES if known == images), None)
    if how is None:
        raise UsageError(f"images is {images!r}; it is one of {', '.join(IMAGES)}")
    source = open_folder(folder)
    if how == "reference" and (to == "webdataset" or source.shape != "images-jsonl"):
        raise UsageError(f"the images of {folder} can not be referred to; leave out --images reference")
    check_place(Path(out), read=[source.root])
    splits = {split: open_data(source.root, split) for split in source.files}
    if to == "webdataset":
        return export_shards(source, splits, Path(out), skip_refused=skip_refused, shard_bytes=shard_bytes)
    return export_records(source, splits, FORMATS[to], Path(out), how, skip_refused=skip_refused)
