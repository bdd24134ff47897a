"""Which rows of a source go into which split: `--split NAME=EXPR`, `--limit` and `--sample`."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heappush, heapreplace
from typing import NamedTuple

import msgspec

from phidata.errors import UsageError
from phidata.storage.shape import check_split_name

NOT_SELECTED = "in no --split"

_PART = re.compile(r"(?P<split>[\w.-]+?)(?:\[(?P<start>-?\d+%?)?:(?P<end>-?\d+%?)?\])?")


class Part(NamedTuple):
    """A run of the rows of one source split; its bounds are row numbers, or percentages such as `10%`."""

    split: str
    start: str | None
    end: str | None

    def of(self, num_rows: int) -> range:
        """The places that it takes of `num_rows` rows."""
        return range(*slice(_bound(self.start, num_rows), _bound(self.end, num_rows)).indices(num_rows))


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """`splits` are expressions by the name of the new split; empty keeps the source's splits. Then of each split the
    first `limit` rows are taken, or `sample` rows that `seed` draws. Raises UsageError for what makes no sense."""

    splits: Mapping[str, str] = {}
    limit: int | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, expression in self.splits.items():
            check_split_name(name)
            _parts(name, expression)
        if self.limit is not None and self.sample is not None:
            raise UsageError("choose one of --limit and --sample: the first rows, or rows drawn by --seed")
        for option, number in (("limit", self.limit), ("sample", self.sample)):
            if number is not None and number < 1:
                raise UsageError(f"--{option} is {number}; take at least 1 row of each split")

    def with_defaults(self, splits: Mapping[str, str], sizes: Mapping[str, int]) -> Selection:
        """The same with a converter's own expressions, when none were asked for and they fit the source: it has
        exactly the splits which they name, and each of them takes a row."""
        if self.splits or not splits:
            return self
        parts = [part for name, expression in splits.items() for part in _parts(name, expression)]
        if {part.split for part in parts} != set(sizes) or not all(part.of(sizes[part.split]) for part in parts):
            return self
        return msgspec.structs.replace(self, splits=dict(splits))

    def choose(self, rows: Callable[[], Iterable[str]], sizes: Mapping[str, int], source: str) -> Iterator[Choice]:
        """What becomes of each row. `rows` gives the source split of each in order, anew whenever it is called, and
        `sizes` are the numbers of rows of each split.

        Raises UsageError for an expression that names a split which the source has not, that takes no row, and for
        rows that two splits take.
        """
        takers = self._takers(sizes, source)
        if not self.splits and self.limit is None and self.sample is None:
            all_of = {split: Choice(split, None) for split in sizes}
            yield from (all_of[split] for split in rows())
            return
        if self.limit is None and self.sample is None:
            yield from self._by_expressions(rows(), takers)
            return
        reason = f"beyond --limit {self.limit}" if self.limit else f"not drawn by --sample {self.sample}"
        drawn = self._drawn(self._by_expressions(rows(), takers)) if self.sample else None
        taken: Counter[str] = Counter()
        for number, choice in enumerate(self._by_expressions(rows(), takers)):
            if choice.split is None:
                yield choice
                continue
            taken[choice.split] += 1
            is_kept = taken[choice.split] <= (self.limit or 0) if drawn is None else number in drawn
            yield choice if is_kept else Choice(choice.split, reason)

    def num_chosen(self, sizes: Mapping[str, int], source: str) -> int:
        """How many rows are taken of splits of these sizes. Raises what `choose` does."""
        taken: Counter[str] = Counter()
        for parts in self._takers(sizes, source).values():
            for part, name in parts:
                taken[name] += len(part)
        most = self.limit or self.sample
        return sum(num if most is None else min(num, most) for num in taken.values())

    def joined(self) -> frozenset[str]:
        """The new splits that are made of more than one."""
        sources = {name: {part.split for part in _parts(name, expr)} for name, expr in self.splits.items()}
        return frozenset(name for name, splits in sources.items() if len(splits) > 1)

    def new_split(self, split: str) -> str | None:
        """Where the rows of a source split go, when that is one place."""
        if not self.splits:
            return split
        takers = [name for name, expr in self.splits.items() if any(p.split == split for p in _parts(name, expr))]
        return takers[0] if len(takers) == 1 else None

    def _takers(self, sizes: Mapping[str, int], source: str) -> dict[str, list[tuple[range, str]]]:
        """Of each source split the runs of its rows that are taken, and the new split that takes them."""
        if not self.splits:
            return {split: [(range(num), split)] for split, num in sizes.items()}
        takers: dict[str, list[tuple[range, str]]] = {}
        for name, expression in self.splits.items():
            num_taken = 0
            for part in _parts(name, expression):
                places = part.of(_size(part, sizes, source))
                num_taken += len(places)
                for other, taker in takers.get(part.split, []):
                    if max(other.start, places.start) < min(other.stop, places.stop):
                        raise UsageError(
                            f"--split {name}={expression} takes rows that are in {taker!r} already; "
                            f"a row belongs to one split"
                        )
                if places:
                    takers.setdefault(part.split, []).append((places, name))
            if not num_taken:
                raise UsageError(f"--split {name}={expression} takes none of the rows of {source}")
        return takers

    def _by_expressions(
        self, rows: Iterable[str], takers: Mapping[str, Sequence[tuple[range, str]]]
    ) -> Iterator[Choice]:
        places: Counter[str] = Counter()
        left_out = Choice(None, NOT_SELECTED)
        choices = {split: [(part, Choice(name, None)) for part, name in parts] for split, parts in takers.items()}
        for split in rows:
            place = places[split]
            places[split] = place + 1
            yield next((choice for part, choice in choices.get(split, ()) if place in part), left_out)

    def _drawn(self, chosen: Iterable[Choice]) -> frozenset[int]:
        """The numbers of the rows that are drawn: of each split those that come first in the draw."""
        assert self.sample is not None
        first: dict[str, list[tuple[int, int]]] = {}  # of each split a heap, the last of the draw at its head
        for number, choice in enumerate(chosen):
            if choice.split is None:
                continue
            heap = first.setdefault(choice.split, [])
            entry = (-int.from_bytes(self._draw(number), "big"), -number)
            if len(heap) < self.sample:
                heappush(heap, entry)
            elif entry > heap[0]:
                heapreplace(heap, entry)
        return frozenset(-number for heap in first.values() for _, number in heap)

    def _draw(self, number: int) -> bytes:
        """A row's place in the draw: the same for a row of this number for ever."""
        return hashlib.blake2b(f"{self.seed} {number}".encode(), digest_size=8).digest()


class Choice(NamedTuple):
    """The split that a row belongs to, and why it is left out, when it is."""

    split: str | None
    reason: str | None


def _parts(name: str, expression: str) -> list[Part]:
    found = [_PART.fullmatch(text.strip()) for text in expression.split("+")]
    parts = [Part(match["split"], match["start"], match["end"]) for match in found if match]
    too_much = [
        bound for part in parts for bound in part[1:] if bound and bound[-1] == "%" and abs(int(bound[:-1])) > 100
    ]
    if len(parts) < len(found) or too_much:
        raise UsageError(f"--split {name}={expression} can not be read; write for example {name}=train[:500] or a+b")
    return parts


def _size(part: Part, sizes: Mapping[str, int], source: str) -> int:
    if part.split not in sizes:
        has = ", ".join(map(repr, sorted(sizes)))
        raise UsageError(f"no split {part.split!r} in {source}; it has {has}")
    return sizes[part.split]


def _bound(text: str | None, num_rows: int) -> int | None:
    if text is None:
        return None
    return num_rows * int(text[:-1]) // 100 if text.endswith("%") else int(text)
