"""What a check found, as one value or part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import asdict

from phidata.diagnostics import Diagnostic, Summary
from phidata.errors import UsageError
from phidata.validation.inputs import MEDIA, Media, find_data
from phidata.validation.part import Part
from phidata.validation.run import run_checks


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings of a check, in the order in which they were made, and what it went through.

    `images` counts the paths in all turns, not the files behind them.
    """

    diagnostics: tuple[Diagnostic, ...]
    rows: int
    turns: int
    images: int
    errors: int
    warnings: int

    @property
    def ok(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return self.errors == 0


def validate(
    paths: str | Path | Iterable[str | Path],
    *,
    images: str | Path | None = None,
    media: Media = "header",
    jobs: int = 1,
) -> Report:
    """Check jsonl files and data folders: every row's shape and meaning, ids over each data set, and the images.

    `images` is the folder below which image paths start: by default `images/` beside a file, else the file's folder.
    `media` says how closely images are looked at: not at all, that they exist, their headers, or every pixel decoded.
    The report is the same for any number of jobs.

    Raises UsageError for a path that is no jsonl file or data folder, DataError for an unfinished conversion. What is
    wrong with the data is in the report, never an exception.
    """
    total = Summary()
    found: list[Diagnostic] = []
    for part in iter_parts(paths, images=images, media=media, jobs=jobs):
        add_part(total, part)
        found += part.diagnostics
    return Report(diagnostics=tuple(found), **asdict(total))


def iter_parts(
    paths: str | Path | Iterable[str | Path],
    *,
    images: str | Path | None = None,
    media: Media = "header",
    jobs: int = 1,
) -> Iterator[Part]:
    """What `validate` finds, some lines at a time and as soon as they are checked, in bounded memory."""
    if media not in MEDIA:
        raise UsageError(f"media is {media!r}; it can be {', '.join(map(repr, MEDIA))}")
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}; it has to be 1 or more")
    named = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not named:
        raise UsageError("no path to check; give a jsonl file or a data folder")
    return run_checks(find_data(named, images), media=media, jobs=jobs)


def add_part(total: Summary, part: Part) -> None:
    """Count a part into the sum."""
    errors = sum(diagnostic.severity == "error" for diagnostic in part.diagnostics)
    total.rows += part.rows
    total.turns += part.turns
    total.images += part.images
    total.errors += errors
    total.warnings += len(part.diagnostics) - errors
