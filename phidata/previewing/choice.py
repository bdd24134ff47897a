"""Which rows a page shows: all, a sample, those with certain findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from random import Random
from typing import NamedTuple

from phidata.diagnostics.catalogue import RULES, find_rule

MAX_ROWS = 10_000


class Place(NamedTuple):
    """A row by its split and its number in it, counted from 0."""

    split: str
    number: int


def check_codes(codes: Sequence[str]) -> tuple[str, ...]:
    """The codes of diagnostics, or beginnings of codes such as PHI3, in capitals.

    Raises UsageError naming the nearest code for one that there is not.
    """
    return tuple(
        code.upper() if code and any(known.startswith(code.upper()) for known in RULES) else find_rule(code).code
        for code in codes
    )


def draw(num_rows: int, sample: int | None, seed: int) -> Sequence[int]:
    """Numbers below `num_rows` in order: all of them, or `sample`, drawn with equal chances, the same for a seed.

    A page has at most 10 000 rows; of more than that so many are drawn unasked.
    """
    size = MAX_ROWS if sample is None else sample
    return range(num_rows) if num_rows <= size else sorted(Random(seed).sample(range(num_rows), size))


def places_of(splits: Mapping[str, Sized], numbers: Sequence[int]) -> list[Place]:
    """The rows with these rising numbers, counted through all splits."""
    places: list[Place] = []
    rest = iter(numbers)
    number, first = next(rest, None), 0
    for split, data in splits.items():
        while number is not None and number < first + len(data):
            places.append(Place(split, number - first))
            number = next(rest, None)
        first += len(data)
    return places
