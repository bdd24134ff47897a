"""What a conversion would do: every row listed and counted, three of them converted, nothing written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from phidata.conversion.listing import Listing, list_rows, listed_by
from phidata.conversion.outcome import Failed
from phidata.conversion.request import Request
from phidata.conversion.worker import Job, Task, attempt

NUM_SAMPLES = 3


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
        listing = list_rows(rows, root, request.selection, request.converter.about, source_ids=request.ids == "source")
        job = Job(converter=request.name, root=root, images=Path(folder), options=request.options)
        samples = [_sample(task, job, request) for task in _some(listing.tasks)]
    return Rehearsal(
        rows={split: sum(task.row.split == split for task in listing.tasks) for split in listing.splits},
        skip_reasons=_skip_reasons(listing),
        num_problems=sum(task.row.problem is not None for task in listing.tasks),
        samples=samples,
    )


def _some(tasks: list[Task]) -> list[Task]:
    places = dict.fromkeys((0, len(tasks) // 2, len(tasks) - 1))
    return [tasks[place] for place in places][:NUM_SAMPLES]


def _sample(task: Task, job: Job, request: Request) -> Sample:
    result = attempt(task, job, request.converter)
    if isinstance(result, Failed):
        return Sample(id=task.id, place=task.row.place, problem=result.reason)
    return Sample(id=task.id, place=task.row.place, row=result.line.decode())


def _skip_reasons(listing: Listing) -> dict[str, int]:
    reasons = Counter(skip.reason for skip in listing.skips)
    for (_, reason), num in listing.left_out.items():
        reasons[reason] += num
    return dict(sorted(reasons.items()))
