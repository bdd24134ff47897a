"""The shards of a split: how they are called, where they lie, whether all are there."""

from __future__ import annotations

import re
from pathlib import Path

from phidata.errors import DataError
from phidata.regular import check_regular
from phidata.storage.shape import SUFFIXES, Shape

_SHARD = re.compile(r"(?P<split>\w+(?:\.\w+)*)-(?P<number>[0-9]{5,})-of-(?P<total>[0-9]{5,})")


def shard_folder(root: Path, shape: Shape, split: str) -> Path:
    """Where the shards of a split lie in a data folder."""
    return {"parquet": root / "data", "arrow": root / split}.get(shape, root)


def shard_name(split: str, number: int, total: int, suffix: str) -> str:
    """`train-00000-of-00007.parquet`."""
    return f"{split}-{number:05}-of-{total:05}.{suffix}"


def find_shards(root: Path, shape: Shape) -> dict[str, tuple[Path, ...]]:
    """The shards of each split below a data folder, in order; empty when there are none.

    Raises DataError when a split lacks a shard, or has shards of two different divisions.
    """
    pattern = f"*.{SUFFIXES[shape]}"
    found: dict[str, dict[tuple[int, int], Path]] = {}
    for path in sorted([*root.glob(pattern), *root.glob(f"*/{pattern}")]):
        if match := _SHARD.fullmatch(path.stem):
            number, total = int(match["number"]), int(match["total"])
            found.setdefault(match["split"], {})[total, number] = check_regular(path)
    return {split: _complete(split, shards) for split, shards in found.items()}


def remove_shards(folder: Path, split: str, suffix: str) -> None:
    """Remove the shards of one split that lie in a folder."""
    for path in folder.glob(f"*.{suffix}"):
        if (match := _SHARD.fullmatch(path.stem)) and match["split"] == split:
            path.unlink()


def _complete(split: str, shards: dict[tuple[int, int], Path]) -> tuple[Path, ...]:
    some = next(iter(shards.values()))
    totals = sorted({total for total, _ in shards})
    if len(totals) > 1:
        both = " and of ".join(map(str, totals))
        raise DataError(f"{some.parent} has shards of split {split!r} out of {both}; remove those that are old")
    for number in range(totals[0]):
        if (totals[0], number) not in shards:
            name = shard_name(split, number, totals[0], some.suffix[1:])
            raise DataError(f"{some.parent} lacks the shard {name}; copy it there, or make the folder again")
    return tuple(shards[totals[0], number] for number in range(totals[0]))
