"""Divides a data set into splits, group by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phidata.console import progress
from phidata.curation.grouping import Groups, keys_by
from phidata.curation.inputs import Input, each_row, open_inputs
from phidata.curation.shares import Share, assign, parse_shares, wished_rows
from phidata.curation.target import plan_target
from phidata.errors import DataError, UsageError
from phidata.storage.shape import SHARD_BYTES
from phidata.storage.writer import DatasetWriter


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One split of the new data set. `wished` is the number of rows it would have if groups could be cut; None for a
    split that was taken over as it was."""

    wished: float | None
    rows: int
    groups: int


class Divided(msgspec.Struct, frozen=True, kw_only=True):
    """A data set divided anew. `written` is False for a dry run.

    `groups` are those of the rows that were divided, `largest_group` the rows of the largest. `shared_rows`: how many
    of the divided rows belong to a group that also has rows in a split that was taken over.
    """

    name: str
    out: str
    shape: str
    written: bool
    by: tuple[str, ...]
    seed: int
    rows: int
    groups: int
    largest_group: int
    shared_rows: int
    splits: dict[str, Part]


def split(
    folder: str | Path,
    *,
    out: str | Path,
    splits: Mapping[str, float | str],
    by: str | Sequence[str] = "image",
    seed: int = 0,
    of: Sequence[str] = (),
    to: str | None = None,
    name: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    dry_run: bool = False,
) -> Divided:
    """Divide all rows of a data folder, or those of the splits `of`, into new splits.

    `splits` has a weight (8, 0.1) or a number of rows ("500rows") for each. Rows that share a key of `by` (see
    `phidata.curation.grouping.keys_by`; of several, any of them) stay together, directly or through other rows. To
    which weighted split a group goes depends on its key and the seed alone: it keeps its side when rows are added.
    Splits that `of` does not name are taken over as they are. Rows keep their order and their ids.

    Raises UsageError for what can not be asked, DataError for rows that can not be grouped, for a split that would be
    empty and for a missing image; nothing is left behind then. `dry_run` tells the sizes and writes nothing.
    """
    (source,) = open_inputs([folder])
    shares = parse_shares(splits)
    groupings = (by,) if isinstance(by, str) else tuple(by)
    divided = {name: source.split(name) for name in of} or source.splits
    kept = [name for name in source.splits if name not in divided]
    _check_names(shares, kept, source)
    target = plan_target(out, [source], to=to, name=name, shard_bytes=shard_bytes)
    sizes = {share.split: share.size for share in shares}
    with target.begin(
        "split",
        splits=[*splits, *kept],
        options={"splits": sizes, "by": list(groupings), "seed": seed, "of": list(of)},
        source=source.identity,
        dry_run=dry_run,
    ) as writer:
        plan = _plan(source, divided, groupings, shares, seed)
        if writer is not None:
            _copy(source, plan, writer)
    return Divided(
        name=target.name,
        out=str(out),
        shape=target.shape,
        written=not dry_run,
        by=groupings,
        seed=seed,
        rows=sum(map(len, divided.values())),
        groups=len(plan.sizes),
        largest_group=max(plan.sizes.values(), default=0),
        shared_rows=plan.shared_rows,
        splits=plan.parts,
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The split of each row; the sizes of the groups that are divided; the rows in groups that also stay elsewhere."""

    sides: list[str]
    sizes: Counter[int]
    shared_rows: int
    parts: dict[str, Part]


def _plan(
    source: Input, divided: Container[str], groupings: Sequence[str], shares: Sequence[Share], seed: int
) -> _Plan:
    groups, keys = _group(source, groupings)
    origins = [name for name, data in source.splits.items() for _ in range(len(data))]
    sizes = Counter(group for group, origin in zip(groups, origins, strict=True) if origin in divided)
    staying = {group for group, origin in zip(groups, origins, strict=True) if origin not in divided}
    sides_of = assign(shares, [keys[group] for group in sizes], list(sizes.values()), seed=seed)
    side_of = dict(zip(sizes, sides_of, strict=True))
    sides = [side_of[group] if origin in divided else origin for group, origin in zip(groups, origins, strict=True)]
    parts = _parts(sides, groups, wished_rows(shares, sizes.total()))
    for share in shares:
        if share.split not in parts:
            raise DataError(
                f"split {share.split!r} would be empty: {source.root} has {len(sizes)} groups of up to "
                f"{max(sizes.values(), default=0)} rows; choose another --seed, another size or a finer --by"
            )
    order = [share.split for share in shares] + [name for name in source.splits if name not in divided]
    return _Plan(
        sides=sides,
        sizes=sizes,
        shared_rows=sum(num for group, num in sizes.items() if group in staying),
        parts={name: parts[name] for name in order if name in parts},
    )


def _copy(source: Input, plan: _Plan, writer: DatasetWriter) -> None:
    with progress(source.num_rows, "split") as bar:
        for (data, number, row), side in zip(each_row(source.splits), plan.sides, strict=True):
            writer.add(side, row, data.image_bytes(number))
            bar.update()
    writer.finish()


def _parts(sides: Sequence[str], groups: Sequence[int], wished: Mapping[str, float]) -> dict[str, Part]:
    rows = Counter(sides)
    num_groups = Counter(side for side, _ in set(zip(sides, groups, strict=True)))
    return {side: Part(wished=wished.get(side), rows=rows[side], groups=num_groups[side]) for side in rows}


def _group(source: Input, groupings: Sequence[str]) -> tuple[list[int], list[str]]:
    """The group of each row, and the key of each group."""
    all_keys = [(f"{place}\n", keys_by(grouping)) for place, grouping in enumerate(groupings)]
    groups = Groups()
    with progress(source.num_rows, "group") as bar:
        for data, number, row in each_row(source.splits):
            own = [prefix + key for prefix, keys in all_keys for key in keys(data, number, row)]
            groups.add(own or [f"id\n{row.id}"])
            bar.update()
    return groups.finish()


def _check_names(shares: Sequence[Share], kept: Sequence[str], source: Input) -> None:
    for share in shares:
        if share.split in kept:
            raise UsageError(
                f"{source.root} has a split {share.split!r} that is not divided; "
                f"call the new one something else, or divide both with --of {share.split}"
            )
