"""How large each part of a division should be, and which groups go into it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phidata.errors import DataError, UsageError
from phidata.storage.shape import check_split_name

_ROWS = re.compile(r"([0-9]+) ?rows?")


@dataclass(frozen=True, kw_only=True)
class Share:
    """The wish for one split: a number of rows, or a weight beside the weights of the others."""

    split: str
    weight: float = 0.0
    rows: int | None = None

    @property
    def size(self) -> float | str:
        """The wish as it is written."""
        return self.weight if self.rows is None else f"{self.rows}rows"


def parse_shares(wishes: Mapping[str, float | str]) -> tuple[Share, ...]:
    """Read weights (8, "0.1") and numbers of rows ("500rows"). Raises UsageError for anything else."""
    if not wishes:
        raise UsageError("no splits to divide into; name them, such as --split train=9 --split val=1")
    return tuple(_share(check_split_name(split), wish) for split, wish in wishes.items())


def assign(shares: Sequence[Share], keys: Sequence[str], sizes: Sequence[int], *, seed: int) -> list[str]:
    """The split of each group, by the group's key and the seed.

    First each split that wants a number of rows takes groups, in an order drawn by the seed, as long as they fit. Each
    other group goes to one of the weighted splits: to which one depends on its own key and the seed alone, so it keeps
    its side when other groups come or go.

    Raises DataError when there are fewer rows than asked for, and when rows are left that no split wants.
    """
    draws = [_draws(key, seed) for key in keys]
    chosen: dict[int, str] = {}
    order = sorted(range(len(keys)), key=lambda group: draws[group])
    for share in shares:
        if share.rows is not None:
            free = share.rows
            for group in order:
                if group not in chosen and sizes[group] <= free:
                    chosen[group] = share.split
                    free -= sizes[group]
    _check_sums(shares, sum(sizes), len(chosen) < len(keys))
    weighted = [share for share in shares if share.rows is None]
    return [
        chosen[group] if group in chosen else _weighted(weighted, draws[group][1]).split for group in range(len(keys))
    ]


def wished_rows(shares: Sequence[Share], num_rows: int) -> dict[str, float]:
    """How many rows each split would have if groups could be cut."""
    rest = num_rows - sum(share.rows or 0 for share in shares)
    weights = sum(share.weight for share in shares)
    return {share.split: share.rows if share.rows is not None else rest * share.weight / weights for share in shares}


def _share(split: str, wish: float | str) -> Share:
    if isinstance(wish, str) and (count := _ROWS.fullmatch(wish.strip())):
        rows = int(count[1])
        if rows > 0:
            return Share(split=split, rows=rows)
    try:
        weight = float(wish)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UsageError(
            f"the size of split {split!r} is {str(wish)!r}; "
            "write a weight above 0 such as 8 or 0.1, or a number of rows such as 500rows"
        )
    return Share(split=split, weight=weight)


def _check_sums(shares: Sequence[Share], num_rows: int, left_over: bool) -> None:
    wanted = sum(share.rows or 0 for share in shares)
    if wanted > num_rows:
        raise DataError(f"{wanted} rows are asked for and there are {num_rows}; ask for fewer")
    if left_over and all(share.rows is not None for share in shares):
        raise DataError(
            f"{wanted} of {num_rows} rows are asked for, and groups are left over; "
            "name a split for them by a weight, such as --split train=1"
        )


def _draws(key: str, seed: int) -> tuple[int, float]:
    """Two independent random numbers that depend on key and seed alone: the place in a queue, and one below 1."""
    digest = hashlib.blake2b(f"{seed}\n{key}".encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), (int.from_bytes(digest[8:], "big") >> 11) / (1 << 53)


def _weighted(shares: Sequence[Share], draw: float) -> Share:
    mark = draw * sum(share.weight for share in shares)
    for share in shares:
        mark -= share.weight
        if mark < 0:
            return share
    return shares[-1]  # rounding
