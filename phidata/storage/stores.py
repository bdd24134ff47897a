"""Opens the rows of a split, whatever its shape."""

from __future__ import annotations

from pathlib import Path

from phidata.storage.folder import IMAGES, DataFolder
from phidata.storage.rows import RowStore


def open_split(folder: DataFolder, split: str, *, images: str | Path | None = None) -> RowStore:
    """Open one split of a data folder. Raises UsageError when there is no such split."""
    from phidata.storage.jsonl import JsonlRows

    files = folder.split(split)
    return JsonlRows(files[0], Path(images) if images is not None else folder.images)


def open_file(path: Path, *, images: str | Path | None = None) -> RowStore:
    """Open one file by itself."""
    from phidata.storage.jsonl import JsonlRows

    beside = path.parent / IMAGES
    default = beside if beside.is_dir() else path.parent
    return JsonlRows(path, Path(images) if images is not None else default)
