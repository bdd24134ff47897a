"""How often each text occurs, exactly while there are not too many, and within known bounds after that."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

CAPACITY = 100_000
SHOWN_CHARS = 200


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One text and how often it occurs: at least `count` times and at most `at_most` times."""

    value: str
    count: int
    at_most: int


class Ranking(msgspec.Struct, frozen=True, kw_only=True):
    """The most frequent texts. `total` occurrences were counted; `others` of them are of texts not in `top`.

    `exact` says whether every number is exact. It is as long as there are at most 100 000 different texts; with more
    of them, `distinct` is the least that there are and each count has its bounds.
    """

    total: int
    distinct: int
    exact: bool
    top: tuple[Entry, ...] = ()
    others: int = 0


class Tally:
    """Counts texts in bounded memory by lossy counting (Manku and Motwani, VLDB 2002, "Approximate Frequency Counts
    over Data Streams"): when there are too many different ones, the rarest are forgotten, and what a text that comes
    again may have lost is remembered with it."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._counts: dict[str, int] = {}
        self._lost: dict[str, int] = {}  # how often a text may have come before it was last forgotten
        self._forgotten = 0  # no forgotten text came more often than this
        self._total = 0

    def add(self, text: str, times: int = 1) -> None:
        """Count a text `times` times."""
        key = text if len(text) <= SHOWN_CHARS else _shortened(text)
        self._total += times
        if key in self._counts:
            self._counts[key] += times
        else:
            self._enter(key, times, self._forgotten)

    def merge(self, other: Tally) -> None:
        """Count all that the other one has counted."""
        self._total += other._total
        for key, count in other._counts.items():
            if key in self._counts:
                self._counts[key] += count
            else:
                self._enter(key, count, self._forgotten)
            if lost := other._lost.get(key, 0):
                self._lost[key] = self._lost.get(key, 0) + lost
        if other._forgotten:
            for key in self._counts.keys() - other._counts.keys():
                self._lost[key] = self._lost.get(key, 0) + other._forgotten
            self._forgotten += other._forgotten

    def ranking(self, top: int) -> Ranking:
        """The `top` most frequent texts; those that are equally frequent in alphabetical order."""
        ranked = sorted(self._counts, key=lambda key: (-self._counts[key], key))[:top]
        entries = tuple(
            Entry(
                value=key if len(key) <= SHOWN_CHARS else key[:SHOWN_CHARS] + "…",
                count=self._counts[key],
                at_most=self._counts[key] + self._lost.get(key, 0),
            )
            for key in ranked
        )
        return Ranking(
            total=self._total,
            distinct=self._capacity if self._forgotten else len(self._counts),
            exact=not self._forgotten,
            top=entries,
            others=self._total - sum(entry.count for entry in entries),
        )

    def _enter(self, key: str, times: int, lost: int) -> None:
        if len(self._counts) >= self._capacity:
            self._forget()
            lost = self._forgotten
        self._counts[key] = times
        if lost:
            self._lost[key] = lost

    def _forget(self) -> None:
        """Drop the rarer half."""
        bound = {key: count + self._lost.get(key, 0) for key, count in self._counts.items()}
        rarest = sorted(bound, key=bound.__getitem__)[: (self._capacity + 1) // 2]
        self._forgotten = max(self._forgotten, bound[rarest[-1]])
        for key in rarest:
            del self._counts[key]
            self._lost.pop(key, None)


def _shortened(text: str) -> str:
    """The beginning of a long text, and a hash that keeps it apart from others that begin so."""
    return text[:SHOWN_CHARS] + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
