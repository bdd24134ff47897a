"""Joins data sets into one: the same splits behind each other, ids unique, images kept apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from phidata.console import progress
from phidata.curation.image_paths import ImagePaths
from phidata.curation.inputs import Input, open_inputs
from phidata.curation.target import plan_target
from phidata.errors import DataError, UsageError
from phidata.loading import ConversationData
from phidata.storage.manifest import Identity
from phidata.storage.shape import SHARD_BYTES
from phidata.storage.writer import DatasetWriter

IDS = ("keep", "prefix")


class MergedSource(msgspec.Struct, frozen=True, kw_only=True):
    """What came from one data set: the rows of each split, and how many of its images got another path."""

    folder: str
    label: str
    splits: dict[str, int]
    renamed_images: int


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """A data set made of others. `written` is False for a dry run."""

    name: str
    out: str
    shape: str
    written: bool
    splits: dict[str, int]
    sources: tuple[MergedSource, ...]


def merge(
    folders: Sequence[str | Path],
    *,
    out: str | Path,
    to: str | None = None,
    name: str | None = None,
    ids: str = "keep",
    shard_bytes: int = SHARD_BYTES,
    dry_run: bool = False,
) -> Merged:
    """Join data folders of any shape into a new one, in their order: splits that are called the same become one.

    Row ids have to be unique in the result; with ids="prefix" each becomes `<data set>/<id>`. An image whose path
    stands for other bytes in an earlier folder is stored as `<data set>/<path>`, and its row says so. Shape and name
    are those of the folders where they agree, else images-jsonl and "merged". `dry_run` does all but write.

    Memory: id and image paths of the rows, never the rows or the images. Raises UsageError for folders that can not be
    read or written, DataError for colliding ids and for a missing image; nothing is left behind then.
    """
    if ids not in IDS:
        raise UsageError(f"ids is {ids!r}; it is 'keep' or 'prefix'")
    if not folders:
        raise UsageError("nothing to merge; name the data folders")
    inputs = open_inputs(folders)
    target = plan_target(out, inputs, to=to, name=name, shard_bytes=shard_bytes)
    _check_ids(inputs, prefix=ids == "prefix")
    splits = list(dict.fromkeys(split for source in inputs for split in source.splits))
    paths = ImagePaths()
    with (
        target.begin("merge", splits=splits, options={"ids": ids}, source=_origin(inputs), dry_run=dry_run) as writer,
        progress(sum(source.num_rows for source in inputs), "merge") as bar,
    ):
        sources = [_copy(source, writer, paths, bar.update, prefix=ids == "prefix") for source in inputs]
        if writer is not None:
            writer.finish()
    return Merged(
        name=target.name,
        out=str(out),
        shape=target.shape,
        written=not dry_run,
        splits={split: sum(source.splits.get(split, 0) for source in sources) for split in splits},
        sources=tuple(sources),
    )


def _copy(
    source: Input, writer: DatasetWriter | None, paths: ImagePaths, told: Callable[[int], object], *, prefix: bool
) -> MergedSource:
    renamed_before = paths.num_renamed
    for split, data in source.splits.items():
        for number, row in enumerate(data):
            images = data.image_bytes(number)
            placed = paths.place(row, images, source.label)
            if prefix:
                placed = msgspec.structs.replace(placed, id=_prefixed(source, row.id))
            if writer is not None:
                writer.add(split, placed, images)
            told(1)
    return MergedSource(
        folder=str(source.root),
        label=source.label,
        splits={split: len(data) for split, data in source.splits.items()},
        renamed_images=paths.num_renamed - renamed_before,
    )


def _prefixed(source: Input, id: str) -> str:
    return f"{source.label}/{id}"


def _check_ids(inputs: Sequence[Input], *, prefix: bool) -> None:
    """Raise DataError when two rows would have one id: which, where both stand, and how many more there are."""
    first: dict[str, int] = {}  # id → number of its row, counted through all inputs
    twice: list[int] = []
    number = 0
    for source in inputs:
        for row in chain.from_iterable(source.splits.values()):
            if first.setdefault(_prefixed(source, row.id) if prefix else row.id, number) != number:
                twice.append(number)
            number += 1
    if twice:
        raise DataError(_collision(inputs, first, twice, prefix=prefix))


def _collision(inputs: Sequence[Input], first: dict[str, int], twice: Sequence[int], *, prefix: bool) -> str:
    source, data, row = _locate(inputs, twice[0])
    id = _prefixed(source, data[row].id) if prefix else data[row].id
    other, other_data, other_row = _locate(inputs, first[id])
    more = f", and {len(twice) - 1} more rows have the id of another" if len(twice) > 1 else ""
    remedy = "`--ids prefix` puts the names of the data sets before the ids"
    if prefix or source is other:
        remedy = "give one of the two rows another id"
    return f"{data.where(row)} and {other_data.where(other_row)} have one id{more}; {remedy}"


def _locate(inputs: Sequence[Input], number: int) -> tuple[Input, ConversationData, int]:
    for source in inputs:
        for data in source.splits.values():
            if number < len(data):
                return source, data, number
            number -= len(data)
    raise AssertionError(number)


def _origin(inputs: Sequence[Input]) -> Identity:
    origin: Identity = {"kind": "folders"}
    for number, source in enumerate(inputs, 1):
        origin |= {f"{key}_{number}": value for key, value in source.identity.items() if key != "kind"}
    return origin
