"""Finds duplicates and leakage between splits, and writes a data set without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

from phidata.console import progress
from phidata.curation.findings import Deduplicated, ImageCopies, Leak, Match, SplitRows
from phidata.curation.inputs import Input, open_inputs
from phidata.curation.inventory import Inventory, take_inventory
from phidata.curation.likeness import Likeness
from phidata.curation.neighbours import MAX_DISTANCE
from phidata.curation.target import Target, plan_target
from phidata.curation.twins import Twin, duplicates, shared_images
from phidata.errors import UsageError
from phidata.storage.ledger import LedgerLine
from phidata.storage.shape import SHARD_BYTES
from phidata.storage.writer import DatasetWriter
from phidata.workers import num_cpus

DISTANCE = 6
EVALUATION = ("test", "val", "validation", "dev", "eval")


def dedup(
    folder: str | Path,
    *,
    out: str | Path | None = None,
    distance: int | None = DISTANCE,
    keep_splits: Sequence[str] = (),
    to: str | None = None,
    name: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    jobs: int | None = None,
    dry_run: bool = False,
) -> Deduplicated:
    """Find rows that are there twice and images that an evaluation split shares with another split.

    Two rows are duplicates when in each turn their texts are the same (but for white space and the form of Unicode) and
    their images are: by sha256, or near, when the perceptual hashes differ in at most `distance` of 64 bits;
    distance=None compares bytes alone. A row leaks when it shows an image, the same or a near one, that an evaluation
    split shows, whatever it says.

    With `out` a copy is written without them: of duplicates the first stays, no row of an evaluation split is left out,
    and no other row with an image of one stays. The ledger names each row that is left out with its twin. `keep_splits`
    are the evaluation splits, the first before the others; by default test, val, validation, dev and eval, as far as
    another split remains. `jobs` threads decode (default: the CPUs there are); the result is the same for any number.

    Memory: what is needed to compare, never rows or images. Raises UsageError for what can not be done as asked,
    DataError for a missing image; nothing is left behind then.
    """
    if distance is not None and not 0 <= distance <= MAX_DISTANCE:
        raise UsageError(f"distance is {distance}; at most {MAX_DISTANCE} of the 64 bits may differ, and at least 0")
    (source,) = open_inputs([folder])
    kept = _kept_splits(source, keep_splits)
    target = None if out is None else plan_target(out, [source], to=to, name=name, shard_bytes=shard_bytes)
    if target is None or dry_run:
        return _search(source, kept, distance, jobs).told(out)
    writer = _writer(target, source, distance, kept)
    with writer:
        found = _search(source, kept, distance, jobs)
        _copy(source, found, writer)
        writer.finish()
    return found.told(out, written=True)


class _Found:
    """The twins in a data set, and the rows that are left out for them."""

    def __init__(self, source: Input, kept: Sequence[str], inventory: Inventory, distance: int | None) -> None:
        self._source, self._kept, self.inventory, self._distance = source, kept, inventory, distance
        self._likeness = Likeness(inventory.contents, distance or 0)
        self.left_out: dict[int, LedgerLine] = {}
        self._leakage = [self._leak(one, other) for one, other in combinations(inventory.splits, 2) if one in kept]
        for twin in duplicates(inventory, self._likeness, kept, gone=frozenset(self.left_out)):
            self._leave_out(twin, "the same as another row" if twin.distance is None else "like another row")

    def told(self, out: str | Path | None, *, written: bool = False) -> Deduplicated:
        """The report."""
        lost = Counter(line.split for line in self.left_out.values())
        return Deduplicated(
            folder=str(self._source.root),
            out=None if out is None else str(out),
            written=written,
            distance=self._distance,
            keep_splits=tuple(self._kept),
            splits={
                split: SplitRows(rows=len(data), left=len(data) - lost[split])
                for split, data in self._source.splits.items()
            },
            duplicates=tuple(map(self._match, duplicates(self.inventory, self._likeness, self._kept))),
            leakage=tuple(leak for leak in self._leakage if leak.rows),
            left_out=dict(sorted(Counter(line.reason or "" for line in self.left_out.values()).items())),
            images=_image_copies(self.inventory, self._likeness, looks=self._distance is not None),
        )

    def _leak(self, split: str, other: str) -> Leak:
        rows, other_rows = self.inventory.rows(split), self.inventory.rows(other)
        held = shared_images(self.inventory, self._likeness, rows, other_rows)
        leaked = shared_images(self.inventory, self._likeness, other_rows, rows)
        for twin in leaked:
            like = "an image" if twin.distance is None else "an image like one"
            self._leave_out(twin, f"shows {like} of split {split!r}")
        exact = sum(twin.distance is None for twin in held)
        return Leak(
            split=split,
            other=other,
            rows=len(held),
            exact=exact,
            near=len(held) - exact,
            other_rows=len(leaked),
            matches=tuple(map(self._match, held)),
        )

    def _leave_out(self, twin: Twin, reason: str) -> None:
        match = self._match(twin)
        if match.split in self._kept or twin.row in self.left_out:
            return
        self.left_out[twin.row] = LedgerLine(
            split=match.split,
            outcome="skipped",
            count=1,
            reason=reason,
            id=match.id,
            twin=match.twin,
            twin_split=match.twin_split,
            distance=match.distance,
        )

    def _match(self, twin: Twin) -> Match:
        contents = self.inventory.contents
        return Match(
            split=self.inventory.split(twin.row),
            id=self.inventory.ids[twin.row],
            twin_split=self.inventory.split(twin.twin),
            twin=self.inventory.ids[twin.twin],
            distance=twin.distance,
            image=None if twin.image is None else contents[twin.image].path,
            twin_image=None if twin.twin_image is None else contents[twin.twin_image].path,
        )


def _search(source: Input, kept: Sequence[str], distance: int | None, jobs: int | None) -> _Found:
    order = [*kept, *(split for split in source.splits if split not in kept)]
    splits = {split: source.splits[split] for split in order}
    inventory = take_inventory(splits, looks=distance is not None, jobs=jobs or num_cpus())
    return _Found(source, kept, inventory, distance)


def _kept_splits(source: Input, asked: Sequence[str]) -> list[str]:
    """The evaluation splits, the first before the others."""
    if asked:
        return [split for split in dict.fromkeys(asked) if source.split(split) is not None]
    known = [split for split in EVALUATION if split in source.splits]
    return known if len(known) < len(source.splits) else known[:-1]


def _writer(target: Target, source: Input, distance: int | None, kept: Sequence[str]) -> DatasetWriter:
    return target.writer(
        "dedup",
        splits=list(source.splits),
        options={"distance": distance, "keep_splits": list(kept)},
        source=source.identity,
        packages={} if distance is None else {"pillow": version("pillow")},
    )


def _copy(source: Input, found: _Found, writer: DatasetWriter) -> None:
    with progress(source.num_rows, "write") as bar:
        for split, data in source.splits.items():
            start = found.inventory.rows(split).start
            for number, row in enumerate(data):
                if line := found.left_out.get(start + number):
                    writer.account(line)
                else:
                    writer.add(split, row, data.image_bytes(number))
                bar.update()
        bar.set_postfix_str(f"{len(found.left_out)} left out")


def _image_copies(inventory: Inventory, likeness: Likeness, *, looks: bool) -> ImageCopies:
    paths: dict[int, list[str]] = {}
    for path, content in inventory.content_at.items():
        paths.setdefault(content, []).append(path)
    broken = [content for content in inventory.contents if content.problem is not None]
    num_without = sum(content.look is None for content in inventory.contents) if looks else len(broken)
    return ImageCopies(
        shown=inventory.num_shown,
        paths=len(inventory.content_at),
        contents=len(inventory.contents),
        copies=tuple(tuple(group) for group in paths.values() if len(group) > 1),
        near_pairs=likeness.num_pairs,
        flat=num_without - len(broken),
        broken=len(broken),
        first_broken=f"{broken[0].path}: {broken[0].problem}" if broken else None,
    )
