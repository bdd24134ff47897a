"""Which rows of a source go into which split: `--split NAME=EXPR`, `--limit` and `--sample`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
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

    def choose(self, rows: Sequence[str], source: str) -> list[Choice]:
        """What becomes of each row, given the source split of each in order.

        Raises UsageError for an expression that names a split which the source has not, that takes no row, and for
        rows that two splits take.
        """
        chosen = self._by_expressions(rows, source) if self.splits else [Choice(split, None) for split in rows]
        return self._thinned(chosen)

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

    def _by_expressions(self, rows: Sequence[str], source: str) -> list[Choice]:
        places: dict[str, list[int]] = {}
        for number, split in enumerate(rows):
            places.setdefault(split, []).append(number)
        chosen = [Choice(None, NOT_SELECTED)] * len(rows)
        for name, expression in self.splits.items():
            taken = [number for part in _parts(name, expression) for number in _rows_of(part, places, source)]
            if not taken:
                raise UsageError(f"--split {name}={expression} takes none of the rows of {source}")
            for number in taken:
                if chosen[number].split is not None:
                    raise UsageError(
                        f"--split {name}={expression} takes rows that are in {chosen[number].split!r} already; "
                        f"a row belongs to one split"
                    )
                chosen[number] = Choice(name, None)
        return chosen

    def _thinned(self, chosen: list[Choice]) -> list[Choice]:
        number_wanted = self.limit if self.limit is not None else self.sample
        if number_wanted is None:
            return chosen
        reason = f"beyond --limit {self.limit}" if self.limit is not None else f"not drawn by --sample {self.sample}"
        by_split: dict[str, list[int]] = {}
        for number, choice in enumerate(chosen):
            if choice.split is not None:
                by_split.setdefault(choice.split, []).append(number)
        kept: set[int] = set()
        for numbers in by_split.values():
            kept.update(sorted(numbers, key=self._draw)[:number_wanted] if self.sample else numbers[:number_wanted])
        return [
            choice if choice.split is None or number in kept else Choice(choice.split, reason)
            for number, choice in enumerate(chosen)
        ]

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


def _rows_of(part: Part, places: Mapping[str, list[int]], source: str) -> list[int]:
    if part.split not in places:
        has = ", ".join(map(repr, sorted(places)))
        raise UsageError(f"no split {part.split!r} in {source}; it has {has}")
    rows = places[part.split]
    return [rows[place] for place in part.of(len(rows))]


def _bound(text: str | None, num_rows: int) -> int | None:
    if text is None:
        return None
    return num_rows * int(text[:-1]) // 100 if text.endswith("%") else int(text)
