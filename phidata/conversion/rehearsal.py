"""What a conversion would do: every row listed and counted, three of them converted, nothing written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from phidata.conversion.listing import Listing, list_rows, listed_by
from phidata.conversion.outcome import Failed
from phidata.conversion.request import Request
from phidata.conversion.task import Task
from phidata.conversion.worker import attempt
from phidata.storage.source import Root


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One row as it would be written, `row` its line of JSON; or why it would fail."""

    id: str
    place: str
    row: str | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The rows of each split that would be converted, those that can be seen to fail included; how many are skipped for
    which reason; and samples from the beginning, the middle and the end."""

    rows: dict[str, int]
    skip_reasons: dict[str, int]
    num_problems: int
    samples: list[Sample]


def rehearse(request: Request) -> Rehearsal:
    """List the source and convert three rows. Raises what `convert` would raise for the source and the selection."""
    with (
        TemporaryDirectory(prefix="phidata-") as folder,
        request.opened(Path(folder) / "source") as root,
    ):
        rows = listed_by(request.converter, root, request.settings)
        listing = list_rows(
            rows,
            root,
            request.selection,
            request.converter.about,
            folder=Path(folder) / "listing",
            source_ids=request.ids == "source",
        )
        return Rehearsal(
            rows={split: sum(rows.num_rows for rows in listing.of_split(split)) for split in listing.splits},
            skip_reasons=_skip_reasons(listing),
            num_problems=listing.num_problems,
            samples=[_sample(task, root, request) for task in _some(listing)],
        )


def _some(listing: Listing) -> Iterator[Task]:
    """The first row, one in the middle and the last."""
    wanted = dict.fromkeys((0, listing.num_wanted // 2, listing.num_wanted - 1))
    begin = 0
    for rows in listing.ranges:
        for place in wanted:
            if begin <= place < begin + rows.num_rows:
                yield listing.tasks(rows)[place - begin]
        begin += rows.num_rows


def _sample(task: Task, root: Root, request: Request) -> Sample:
    result = attempt(task, root, request.options, request.converter)
    if isinstance(result, Failed):
        return Sample(id=task.id, place=task.row.place, problem=result.reason)
    return Sample(id=task.id, place=task.row.place, row=result.line.decode())


def _skip_reasons(listing: Listing) -> dict[str, int]:
    reasons = Counter(skip.reason for skip in listing.skips)
    for (_, reason), num in listing.left_out.items():
        reasons[reason] += num
    return dict(sorted(reasons.items()))
