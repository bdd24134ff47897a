"""The rows of a source in their order, numbered and put into splits, before any of them is converted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from phidata.conversion.converter import About, Converter, Row, Settings, Skip
from phidata.conversion.selection import Choice, Selection
from phidata.conversion.worker import Task
from phidata.errors import DataError, PhidataError, UsageError
from phidata.storage.shape import check_split_name
from phidata.storage.source import Root


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Every row that is wanted as a task, what is no row, and how many rows of which split are not wanted and why.

    `expressions` are those that made the splits, asked for or the converter's own; empty when they are the source's.
    A row's number is its place among the rows of the source, whatever becomes of it and of the others.
    """

    splits: list[str]
    expressions: Mapping[str, str]
    tasks: list[Task]
    skips: list[Skip]
    left_out: Counter[tuple[str | None, str]]

    @property
    def num_rows(self) -> int:
        """All that the source has: rows, and what lies among them."""
        return len(self.tasks) + len(self.skips) + self.left_out.total()


def list_rows(
    listed: Iterable[Row | Skip], root: Root, selection: Selection, about: About, *, source_ids: bool = False
) -> Listing:
    """Number the rows and give them their ids: `<split>-<number>`, ten digits, counted through all of the source.

    With `source_ids` a row keeps the id that the source gives it; one without fails. Raises DataError when there is no
    row, when two have the same name, whose images would overwrite each other, and when a name leads out of the image
    folder; UsageError for a selection that does not fit the source.
    """
    rows: list[Row] = []
    skips: list[Skip] = []
    for item in listed:
        if isinstance(item, Skip):
            skips.append(item)
        else:
            rows.append(_printable(item))
    if not rows:
        raise DataError(f"{root.name} holds no rows to convert" + (f"; {_why(skips)}" if skips else ""))
    sizes = Counter(row.split for row in rows)
    selection = selection.with_defaults(about.splits, sizes)
    if not selection.splits:
        _check_names(sizes, root)
    chosen = selection.choose([row.split for row in rows], root.name)
    skips = [replace(skip, split=skip.split and selection.new_split(skip.split)) for skip in skips]
    return Listing(
        splits=_splits(selection, chosen, skips),
        expressions=selection.splits,
        tasks=list(_tasks(rows, chosen, root, selection.joined(), source_ids=source_ids)),
        skips=skips,
        left_out=Counter((choice.split, choice.reason) for choice in chosen if choice.reason is not None),
    )


def listed_by(converter: Converter[Row], root: Root, settings: Settings) -> Iterator[Row | Skip]:
    """What a converter lists; what it did not foresee ends in a sentence like everything else (--debug shows more)."""
    try:
        yield from converter.rows(root, settings)
    except (PhidataError, MemoryError):
        raise
    except OSError as error:
        what = error.filename or root.name
        raise DataError(f"{what} can not be read ({error.strerror}); mend it or leave it out") from error
    except Exception as error:
        name, what = converter.about.name, f"{type(error).__name__}: {error}"
        raise DataError(f"converter {name} fails to list its rows ({what}); this is a mistake in it") from error


def _check_names(splits: Iterable[str], root: Root) -> None:
    """Raise UsageError for a split of the source whose name can not be that of one: files are called by it."""
    for split in splits:
        try:
            check_split_name(split)
        except UsageError as error:
            raise UsageError(
                f"{root.name} has a split {split!r}, which can not be a name of one; pass --split NAME={split}"
            ) from error


def _splits(selection: Selection, chosen: list[Choice], skips: list[Skip]) -> list[str]:
    """The names of the splits in the order in which they were asked for, else in the order of the source."""
    found = [choice.split for choice in chosen] + [skip.split for skip in skips]
    return list(dict.fromkeys([*selection.splits, *(split for split in found if split is not None)]))


def _tasks(rows: list[Row], chosen: list[Choice], root: Root, joined: Set[str], *, source_ids: bool) -> Iterable[Task]:
    places: dict[str, str] = {}
    ids: dict[str, str] = {}
    for number, (row, choice) in enumerate(zip(rows, chosen, strict=True)):
        if choice.reason is not None or choice.split is None:
            continue
        row = _in_split(row, choice.split, is_joined=choice.split in joined)
        if row.name.startswith("/") or ".." in row.name.split("/"):
            raise DataError(f"{root.name}: the row name {row.name!r} leads out of the image folder; rename {row.file}")
        if row.name in places:
            raise DataError(f"{root.name} has two rows {row.name}: {places[row.name]} and {row.place}; rename one")
        places[row.name] = row.place
        id_ = f"{row.split}-{number:010d}"
        if source_ids and row.id:
            earlier = ids.setdefault(row.id, row.place)
            if earlier == row.place:
                id_ = row.id
            else:
                row = replace(row, problem=f"its id {row.id!r} is also that of {earlier}; pass --ids count")
        elif source_ids:
            row = replace(row, problem=row.problem or "it has no id in the source; pass --ids count")
        yield Task(number=number, id=id_, row=row)


def _in_split(row: Row, split: str, *, is_joined: bool) -> Row:
    """The row in the split that it is put into, its images below that split's folder; of one that is made of several
    below the folder of its own there."""
    if split == row.split:
        return row
    if not row.name.startswith(f"{row.split}/"):
        return replace(row, split=split)
    return replace(row, split=split, name=f"{split}/{row.name}" if is_joined else split + row.name[len(row.split) :])


def _printable(row: Row) -> Row:
    """The row itself; one whose name can not be written as UTF-8 becomes a row that fails under a similar name."""
    try:
        f"{row.name}{row.file}".encode()
    except UnicodeEncodeError:
        name, file = (text.encode(errors="surrogateescape").decode(errors="replace") for text in (row.name, row.file))
        return replace(row, name=name, file=file, problem="its name is not UTF-8; rename the file")
    return row


def _why(skips: list[Skip]) -> str:
    reasons = Counter(skip.reason for skip in skips)
    return ", ".join(f"{num} skipped ({reason})" for reason, num in reasons.most_common(3))
