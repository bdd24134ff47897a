"""The data folder that is exported."""

from __future__ import annotations

from phidata.loading import ConversationData, load
from phidata.storage.folder import MANIFEST, DataFolder
from phidata.storage.manifest import read_manifest


def name_of(source: DataFolder) -> str:
    """What a data set is called: as its manifest says, else as its files or its folder are."""
    if (source.root / MANIFEST).is_file():
        return read_manifest(source.root).name
    if source.shape == "images-jsonl":
        return next(iter(source.splits.values())).stem.rpartition("_")[0]
    return source.root.resolve().name


def splits_of(source: DataFolder) -> dict[str, ConversationData]:
    """The splits, opened, in the order that the manifest has, which is the order of the source."""
    known = list(read_manifest(source.root).splits) if (source.root / MANIFEST).is_file() else []
    order = sorted(source.files, key=lambda split: known.index(split) if split in known else len(known))
    return {split: load(source.root, split) for split in order}
