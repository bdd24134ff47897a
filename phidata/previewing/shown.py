"""The rows that a page shows, and what a check says about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from phidata.console import Progress, progress
from phidata.diagnostics import Diagnostic
from phidata.errors import DataError, UsageError
from phidata.previewing.choice import Place, draw, places_of
from phidata.statistics import open_splits
from phidata.validation import Media, check_line, iter_parts


class ShownData:
    """A data set that is opened to be shown: its splits by name, in the usual order."""

    def __init__(self, path: Path, *, split: str | None, images: str | Path | None, media: Media) -> None:
        self.path = path
        self.shape, self.splits = open_splits(path, split, images=images)
        self.num_rows = sum(map(len, self.splits.values()))
        self._images, self._media = images, media

    def choose(self, sample: int | None, seed: int, codes: tuple[str, ...]) -> tuple[list[Place], int]:
        """The rows to show, and from how many they are: all, or with `codes` those with a finding whose code begins so.

        Raises UsageError when there is none.
        """
        if not self.num_rows:
            raise UsageError(f"{self.path} holds no rows; there is nothing to show")
        if not codes:
            return places_of(self.splits, draw(self.num_rows, sample, seed)), self.num_rows
        order = {split: number for number, split in enumerate(self.splits)}
        found = {place for place, diagnostic in self._check() if diagnostic.code.startswith(codes)}
        if not found:
            raise UsageError(f"no row of {self.path} has a finding {' or '.join(codes)}; there is nothing to show")
        ordered = sorted(found, key=lambda place: (order[place.split], place.number))
        return [ordered[index] for index in draw(len(ordered), sample, seed)], len(ordered)

    def findings(self, places: Sequence[Place]) -> dict[Place, list[Diagnostic]]:
        """The findings of these rows, in the order in which they are made."""
        wanted = set(places)
        by_row: dict[Place, list[Diagnostic]] = defaultdict(list)
        for place, diagnostic in self._check():
            if place in wanted:
                by_row[place].append(diagnostic)
        return by_row

    def _check(self) -> Iterator[tuple[Place, Diagnostic]]:
        """Every finding about a row. The whole data set is looked at, since ids have to be unique in all of it."""
        with progress(self.num_rows, "checking") as bar:
            yield from self._check_lines(bar) if self.shape == "images-jsonl" else self._check_shards(bar)

    def _check_lines(self, bar: Progress) -> Iterator[tuple[Place, Diagnostic]]:
        named = {str(data.path): split for split, data in self.splits.items()}
        for part in iter_parts(self.path, images=self._images, media=self._media):
            for diagnostic in part.diagnostics:
                if (split := named.get(diagnostic.path)) is not None:
                    yield Place(split, diagnostic.line - 1), diagnostic
            bar.update(part.rows)

    def _check_shards(self, bar: Progress) -> Iterator[tuple[Place, Diagnostic]]:
        """A row of a shard that can be read at all is checked as the line that it would be in a jsonl file."""
        for split, data in self.splits.items():
            for number in range(len(data)):
                with suppress(DataError):
                    line = msgspec.json.encode(data[number])
                    for diagnostic in check_line(line, path=str(data.path), number=number + 1):
                        yield Place(split, number), diagnostic
                bar.update()
