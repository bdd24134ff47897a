"""From a path to the numbers of the data set that lies there."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from phidata.console import progress
from phidata.errors import UsageError
from phidata.loading import ConversationData, open_data, open_folder
from phidata.statistics.collect import count_split
from phidata.statistics.counts import Counts
from phidata.statistics.row_tokens import NUM_CROPS, RowTokens
from phidata.statistics.summary import FORMAT_VERSION, Statistics, TokenBasis
from phidata.storage.folder import MANIFEST
from phidata.storage.manifest import read_manifest
from phidata.storage.shape import SUFFIXES, Shape

Media = Literal["none", "header"]
TOP = 10


def stats(
    path: str | Path,
    split: str | None = None,
    *,
    images: str | Path | None = None,
    media: Media = "header",
    num_crops: int = NUM_CROPS,
    top: int = TOP,
) -> Statistics:
    """Count what is in a data folder of any shape, in one split of it, or in one file.

    Rows are streamed and of images the headers are read, or with media="none" nothing; memory does not grow with the
    data. Counts, sums and extremes are exact; `Spread` and `Ranking` say what holds for quantiles and frequent texts.
    Tokens are those of Phi-3-vision with `num_crops` crops.

    A row or an image that can not be read is counted as unreadable, with a sentence for the first. Raises UsageError
    for a path that holds no data and for a missing split, DataError for an unfinished conversion.
    """
    if media not in get_args(Media):
        raise UsageError(f"media is {media!r}; it can be 'none' or 'header'")
    if num_crops < 1 or top < 1:
        raise UsageError(f"num_crops is {num_crops} and top is {top}; both have to be 1 or more")
    shape, splits = open_splits(path, split, images=images)
    tokens = RowTokens(num_crops=num_crops)
    total, counted = Counts(), {}
    with progress(sum(map(len, splits.values())), "counting") as bar:
        for name, data in splits.items():
            counts = count_split(data, tokens, media=media == "header", told=bar.update)
            counted[name] = counts.numbers(top)
            total.merge(counts)
    return Statistics(
        format_version=FORMAT_VERSION,
        path=str(path),
        shape=shape,
        media=media,
        token_basis=TokenBasis(model="phi3v", num_crops=num_crops, exact=tokens.exact),
        distinct_images=_distinct_images(Path(path)) if split is None else None,
        splits=counted,
        all=total.numbers(top),
    )


def open_splits(
    path: str | Path, split: str | None = None, *, images: str | Path | None = None
) -> tuple[Shape, dict[str, ConversationData]]:
    """The shape of a data folder and its splits by name; a file by itself is one split called by its stem."""
    if Path(path).is_file():
        data = open_data(path, split, images=images)
        shapes = {f".{suffix}": shape for shape, suffix in SUFFIXES.items()}
        return shapes.get(Path(path).suffix, "images-jsonl"), {Path(path).stem: data}
    folder = open_folder(path)
    names = sorted(folder.splits, key=_training_first) if split is None else [split]
    return folder.shape, {name: open_data(path, name, images=images) for name in names}


def _training_first(split: str) -> tuple[int, str]:
    usual = ("train", "val", "validation", "dev", "test")
    return (usual.index(split) if split in usual else len(usual), split)


def _distinct_images(root: Path) -> int | None:
    return read_manifest(root).images.num if (root / MANIFEST).is_file() else None
