"""Few cells with every pair of values that some cell has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations

from .cells import Cell

Pair = tuple[tuple[str, object], tuple[str, object]]


def pairs_of(cell: Cell) -> frozenset[Pair]:
    return frozenset(combinations(asdict(cell).items(), 2))


def pairwise(cells: Sequence[Cell]) -> list[Cell]:
    """Always the cell with the most pairs that none has had, the first of those that have as many."""
    pairs = {cell: pairs_of(cell) for cell in cells}
    left, chosen = set[Pair]().union(*pairs.values()), []
    while left:
        best = max(cells, key=lambda cell: len(pairs[cell] & left))
        chosen.append(best)
        left -= pairs[best]
    return chosen
