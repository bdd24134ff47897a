"""The rows that a page shows, and what a check says about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from phidata.console import progress
from phidata.diagnostics import Diagnostic
from phidata.errors import UsageError
from phidata.loading import load, open_folder
from phidata.previewing.choice import Place, draw, places_of
from phidata.statistics import open_splits
from phidata.validation import Media, iter_parts


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
        first_rows = self._first_rows()
        with progress(self.num_rows, "checking") as bar:
            for part in iter_parts(self.path, images=self._images, media=self._media):
                for diagnostic in part.diagnostics:
                    if first := first_rows.get(diagnostic.path):
                        yield Place(first.split, first.number + diagnostic.line - 1), diagnostic
                bar.update(part.rows)

    def _first_rows(self) -> dict[str, Place]:
        """Where the rows of each file begin, by the file's name in findings."""
        if self.path.is_file():
            return {str(self.path): Place(split, 0) for split in self.splits}
        folder = open_folder(self.path)
        begin: dict[str, Place] = {}
        for split in self.splits:
            files = folder.files[split]
            counts = folder.counts.get(split) or [len(load(file)) for file in files[:-1]]
            for file, number in zip(files, accumulate(counts, initial=0), strict=False):
                begin[str(file)] = Place(split, number)
        return begin
