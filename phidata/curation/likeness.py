"""Which images of an inventory are the same, and which look alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np

from phidata.curation.inventory import Content
from phidata.curation.neighbours import differing_bits, near_pairs


class Likeness:
    """Sorts contents into looks, numbered from 0: contents of the same hash have the same look, a content without a
    hash has one to itself. Looks are neighbours when their hashes differ in at most `distance` bits.
    """

    def __init__(self, contents: Sequence[Content], distance: int) -> None:
        hashes = [content.look for content in contents if content.look is not None]
        self._hashes = list(dict.fromkeys(hashes))
        look_of = {value: look for look, value in enumerate(self._hashes)}
        alone = iter(range(len(self._hashes), len(self._hashes) + len(contents)))
        self._looks = [next(alone) if content.look is None else look_of[content.look] for content in contents]
        first, second = near_pairs(np.array(self._hashes, dtype=np.uint64), distance)
        self._neighbours = _adjacency(first.tolist(), second.tolist())
        self._distance = distance
        sizes = Counter(look_of[value] for value in hashes)
        self.num_pairs = sum(size * (size - 1) // 2 for size in sizes.values()) + sum(
            sizes[one] * sizes[other] for one, other in zip(first.tolist(), second.tolist(), strict=True)
        )

    def look(self, content: int) -> int:
        """The number of the look of a content."""
        return self._looks[content]

    def like(self, content: int) -> Sequence[int]:
        """The looks that are like that of a content: first its own, then its neighbours."""
        own = self._looks[content]
        return [own, *self._neighbours.get(own, ())]

    def distance(self, one: int, other: int) -> int | None:
        """In how many bits the looks of two contents differ; None when they are not alike."""
        looks = self._looks[one], self._looks[other]
        if looks[0] == looks[1]:
            return 0
        if max(looks) >= len(self._hashes):
            return None
        bits = differing_bits(self._hashes[looks[0]], self._hashes[looks[1]])
        return bits if bits <= self._distance else None


def _adjacency(first: Sequence[int], second: Sequence[int]) -> dict[int, list[int]]:
    neighbours: dict[int, list[int]] = {}
    for one, other in chain(zip(first, second, strict=True), zip(second, first, strict=True)):
        neighbours.setdefault(one, []).append(other)
    return neighbours
