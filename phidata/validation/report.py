"""What a check found, as one value or part by part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import asdict

from phidata.diagnostics import Diagnostic, Summary, TokenSummary
from phidata.errors import UsageError
from phidata.validation.baseline import Baseline, read_baseline
from phidata.validation.checks import Checks
from phidata.validation.inputs import Media, find_data
from phidata.validation.part import Part
from phidata.validation.run import run_checks
from phidata.validation.selection import Selection, select_codes
from phidata.validation.token_count import TokenLimit
from phidata.validation.token_summary import TokenCounts
from phidata.validation.trainers import Trainer

Paths = str | Path | Iterable[str | Path]


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings of a check, in the order in which they were made, and what it went through.

    `images` counts the paths in all turns, not the files behind them. `fixable` findings are repaired by `phidata.fix`,
    `unsafely_fixable` ones only when it is told to. `accepted` findings stand in the baseline, and not here. `tokens`
    is there when they were counted.
    """

    diagnostics: tuple[Diagnostic, ...]
    rows: int
    turns: int
    images: int
    errors: int
    warnings: int
    fixable: int
    unsafely_fixable: int
    accepted: int
    tokens: TokenSummary | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return self.errors == 0


def validate(
    paths: Paths,
    *,
    images: str | Path | None = None,
    media: Media = "header",
    jobs: int = 1,
    select: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    baseline: str | Path | None = None,
    trainer: Trainer | None = None,
    tokens: TokenLimit | None = None,
) -> Report:
    """Check files and data folders: every row's shape and meaning, ids over each data set, and the images.

    `images` is the folder below which the image paths of jsonl files start: by default `images/` beside a file, else
    the file's folder. `media` says how closely images are looked at: not at all, that they exist, their headers, or
    every pixel decoded. `select` and `ignore` choose findings by codes or beginnings of codes, a `baseline` file
    accepts old ones. `trainer` adds what that trainer would drop, crash on or change; `tokens` counts the tokens of
    each row, and finds those beyond a limit. The report is the same for any number of jobs.

    Raises UsageError for a path that is no file or data folder and for an option that there is not, DataError for an
    unfinished conversion. What is wrong with the data is in the report, never an exception.
    """
    total = Summary()
    found: list[Diagnostic] = []
    counts = TokenCounts()
    for part in iter_parts(
        paths,
        images=images,
        media=media,
        jobs=jobs,
        select=select,
        ignore=ignore,
        baseline=baseline,
        trainer=trainer,
        tokens=tokens,
    ):
        add_part(total, part)
        counts.add(part.tokens)
        found += part.diagnostics
    summary = counts.summary(tokens, total.rows) if tokens else None
    return Report(diagnostics=tuple(found), tokens=summary, **asdict(total))


def iter_parts(
    paths: Paths,
    *,
    images: str | Path | None = None,
    media: Media = "header",
    jobs: int = 1,
    select: str | Iterable[str] = (),
    ignore: str | Iterable[str] = (),
    baseline: str | Path | None = None,
    trainer: Trainer | None = None,
    tokens: TokenLimit | None = None,
) -> Iterator[Part]:
    """What `validate` finds, some rows at a time and as soon as they are checked, in bounded memory."""
    checks = Checks(media=media, trainer=trainer, tokens=tokens)
    checks.check()
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}; it has to be 1 or more")
    wanted = select_codes(select, ignore)
    known = read_baseline(Path(baseline)) if baseline is not None else None
    named = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not named:
        raise UsageError("no path to check; give a jsonl file or a data folder")
    parts = run_checks(find_data(named, images), checks, wanted, jobs=jobs)
    return (_kept(part, wanted, known) for part in parts)


def add_part(total: Summary, part: Part) -> None:
    """Count a part into the sum."""
    errors = sum(diagnostic.severity == "error" for diagnostic in part.diagnostics)
    total.rows += part.rows
    total.turns += part.turns
    total.images += part.images
    total.errors += errors
    total.warnings += len(part.diagnostics) - errors
    total.fixable += sum(diagnostic.fix == "safe" for diagnostic in part.diagnostics)
    total.unsafely_fixable += sum(diagnostic.fix == "unsafe" for diagnostic in part.diagnostics)
    total.accepted += part.accepted


def _kept(part: Part, wanted: Selection, known: Baseline | None) -> Part:
    """The part without findings that are not wanted or are known."""
    found = [diagnostic for diagnostic in part.diagnostics if diagnostic.code in wanted]
    new = [diagnostic for diagnostic in found if known is None or not known.accepts(diagnostic)]
    part.diagnostics = new
    part.accepted = len(found) - len(new)
    return part
