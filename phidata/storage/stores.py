"""Opens the rows of a split, whatever its shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from phidata.errors import UsageError
from phidata.storage.folder import IMAGES, DataFolder
from phidata.storage.rows import RowStore
from phidata.storage.shape import SUFFIXES
from phidata.storage.sharded import Shard, ShardedRows

if TYPE_CHECKING:
    from phidata.storage.group_cache import GroupCache


def open_split(folder: DataFolder, split: str, *, images: str | Path | None = None) -> RowStore:
    """Open one split of a data folder.

    `images` is the folder below which image paths start, where images are files; by default the data folder's own.
    Raises UsageError when there is no such split, DataError for a file that is damaged or not phidata's.
    """
    files = folder.split(split)
    if folder.shape == "images-jsonl":
        return open_jsonl(files[0], Path(images) if images is not None else folder.images)
    _refuse_images(files[0], images)
    path = files[0] if len(files) == 1 else files[0].parent
    return open_shards(path, files, folder.counts.get(split))


def open_file(path: Path, *, images: str | Path | None = None) -> RowStore:
    """Open one file by itself: a Parquet, Arrow or tar shard by the name's ending, anything else as jsonl."""
    if path.suffix.removeprefix(".") in SUFFIXES.values():
        _refuse_images(path, images)
        return open_shards(path, [path])
    beside = path.parent / IMAGES
    default = beside if beside.is_dir() else path.parent
    return open_jsonl(path, Path(images) if images is not None else default)


def open_jsonl(path: Path, images: Path) -> RowStore:
    """Open a jsonl file whose image paths start in a folder."""
    from phidata.storage.jsonl import JsonlRows

    return JsonlRows(path, images)


def open_shards(path: Path, files: Sequence[Path], counts: Sequence[int] | None = None) -> ShardedRows:
    """Open shards of one shape as one sequence, which messages call `path`; where it is known how many rows each has,
    it is opened when it is first used."""
    return ShardedRows(path, files, shard_opener(files[0].suffix), counts=counts)


def shard_opener(suffix: str) -> Callable[[Path], Shard]:
    """What opens a shard whose name ends so; the shards that it opens have one cache together."""
    if suffix == ".tar":
        from phidata.storage.webdataset import WebDatasetShard

        return partial(WebDatasetShard, trust_kept=True)
    from phidata.storage.group_cache import GroupCache

    return partial(_open_columns, cache=GroupCache())


def _open_columns(path: Path, *, cache: GroupCache) -> Shard:
    from phidata.storage.column_rows import GroupedRows

    if path.suffix == ".arrow":
        from phidata.storage.arrow import ArrowGroups
        from phidata.storage.mapped_rows import mapped_rows

        return mapped_rows(path) or GroupedRows(ArrowGroups(path), cache)
    from phidata.storage.parquet import ParquetGroups

    return GroupedRows(ParquetGroups(path), cache)


def _refuse_images(path: Path, images: str | Path | None) -> None:
    if images is not None:
        raise UsageError(f"{path} holds its images itself; leave out the image folder {images}")
