"""The rows of a source in their order, numbered, put into splits and divided into ranges, before any is converted."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from phidata.conversion.converter import About, Converter, Row, Settings, Skip
from phidata.conversion.repeats import Repeats
from phidata.conversion.selection import Selection
from phidata.conversion.spool import Spool
from phidata.conversion.task import Task
from phidata.errors import DataError, PhidataError, UsageError
from phidata.storage.shape import check_split_name
from phidata.storage.source import Root

MAX_ROWS = 512  # of a range
NUM_RANGES = 64  # of a source with fewer rows than make so many full ones

ROWS = "rows.jsonl"  # what the rows of each range are called, and what tells each from an edited one
_TASKS = "tasks.bin"

_encode = msgspec.json.Encoder().encode


class Range(NamedTuple):
    """Rows of one split that follow each other: what is converted at a time. Its tasks lie in a file, there."""

    number: int
    split: str
    num_rows: int
    offset: int
    num_bytes: int


class ListedRow(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a row until the conversion has ended."""

    number: int
    name: str
    place: str
    content: str


@dataclass(kw_only=True)
class Listing:
    """Every row that is wanted as a task, by ranges, on disk; what is no row; and how many rows of which split are not
    wanted and why.

    `expressions` are those that made the splits, asked for or the converter's own; empty when they are the source's.
    A row's number is its place among the rows of the source, whatever becomes of it and of the others. The ranges stand
    in the order of the source, those of one split in the order of its rows. The division depends on the source and the
    selection alone.
    """

    folder: Path
    skips: Spool[Skip]
    expressions: Mapping[str, str]
    splits: list[str] = field(default_factory=list)
    ranges: list[Range] = field(default_factory=list)
    num_skips: int = 0
    num_problems: int = 0
    left_out: Counter[tuple[str | None, str]] = field(default_factory=Counter)

    @property
    def num_wanted(self) -> int:
        return sum(rows.num_rows for rows in self.ranges)

    @property
    def num_rows(self) -> int:
        """All that the source has: rows, and what lies among them."""
        return self.num_wanted + self.num_skips + self.left_out.total()

    @property
    def tasks_path(self) -> Path:
        """The file in which the tasks of all ranges lie; only this process has written to it."""
        return self.folder / _TASKS

    @property
    def rows_path(self) -> Path:
        """A line of JSON for each range, with a ListedRow for each of its rows."""
        return self.folder / ROWS

    def of_split(self, split: str) -> list[Range]:
        return [rows for rows in self.ranges if rows.split == split]

    def tasks(self, rows: Range) -> list[Task]:
        with self.tasks_path.open("rb") as file:
            return read_tasks(file, rows)


def read_tasks(file: BinaryIO, rows: Range) -> list[Task]:
    """The tasks of a range."""
    file.seek(rows.offset)
    tasks: list[Task] = pickle.loads(file.read(rows.num_bytes))
    return tasks


def list_rows(
    listed: Iterable[Row | Skip],
    root: Root,
    selection: Selection,
    about: About,
    *,
    folder: Path,
    source_ids: bool = False,
    content_of: Callable[[Row], str] = lambda _: "",
) -> Listing:
    """Number the rows and give them their ids: `<split>-<number>`, ten digits, counted through all of the source.

    What is listed lies below `folder`, so that the memory does not grow with the number of rows. With `source_ids` a
    row keeps the id that the source gives it; one without fails. `content_of` tells a row from the same one edited.

    Raises DataError when there is no row, when two have the same name, whose images would overwrite each other, and
    when a name leads out of the image folder; UsageError for a selection that does not fit the source.
    """
    found = _spooled(listed, folder, source_ids=source_ids)
    if not found.sizes:
        raise DataError(
            f"{root.name} holds no rows to convert" + (f"; {_why(found.skip_reasons)}" if found.skip_reasons else "")
        )
    selection = selection.with_defaults(about.splits, found.sizes)
    if not selection.splits:
        _check_names(found.sizes, root)
    listing = Listing(folder=folder, skips=Spool(folder / "skips.bin"), expressions=selection.splits)
    num_chosen = selection.num_chosen(found.sizes, root.name)
    divider = _Divider(listing, max_rows=min(MAX_ROWS, max(1, num_chosen // NUM_RANGES)), content_of=content_of)
    ids = _Ids(found.repeated_ids) if source_ids else None
    splits, joined = dict.fromkeys(selection.splits), selection.joined()
    try:
        chosen = selection.choose(lambda: (row.split for row in found.rows), found.sizes, root.name)
        for number, (row, choice) in enumerate(zip(found.rows, chosen, strict=True)):
            if choice.split is not None:
                splits[choice.split] = None
            if choice.reason is not None or choice.split is None:
                listing.left_out[choice.split, choice.reason or ""] += 1
            else:
                divider.add(_task(number, row, choice.split, root, joined, ids))
        divider.finish(root)
        for skip in found.skips:
            skip = replace(skip, split=skip.split and selection.new_split(skip.split))
            splits |= {} if skip.split is None else {skip.split: None}
            listing.skips.put(skip)
            listing.num_skips += 1
    finally:
        divider.close()
    found.remove()
    listing.splits = list(splits)
    return listing


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


@dataclass(kw_only=True)
class _Spooled:
    """What a converter has listed."""

    rows: Spool[Row]
    skips: Spool[Skip]
    sizes: Counter[str] = field(default_factory=Counter)
    skip_reasons: Counter[str] = field(default_factory=Counter)
    repeated_ids: frozenset[int] = frozenset()

    def remove(self) -> None:
        self.rows.remove()
        self.skips.remove()


def _spooled(listed: Iterable[Row | Skip], folder: Path, *, source_ids: bool) -> _Spooled:
    found = _Spooled(rows=Spool(folder / "listed.bin"), skips=Spool(folder / "listed-skips.bin"))
    ids = Repeats(folder / "ids")
    for item in listed:
        if isinstance(item, Skip):
            found.skips.put(item)
            found.skip_reasons[item.reason] += 1
            continue
        found.rows.put(_printable(item))
        found.sizes[item.split] += 1
        if source_ids and item.id:
            ids.add(item.id)
    found.repeated_ids = ids.found()
    ids.remove()
    return found


class _Ids:
    """The ids of the source, of which a row takes its own when no row before it has."""

    def __init__(self, repeated: frozenset[int]) -> None:
        self._repeated = repeated
        self._places: dict[str, str] = {}  # of those that may be there twice

    def taken_by(self, row: Row) -> tuple[Row, str | None]:
        """The row and the id that it takes; None, and a row that fails, where it can have none."""
        if not row.id:
            return replace(row, problem=row.problem or "it has no id in the source; pass --ids count"), None
        if hash(row.id) in self._repeated:
            earlier = self._places.setdefault(row.id, row.place)
            if earlier != row.place:
                return replace(row, problem=f"its id {row.id!r} is also that of {earlier}; pass --ids count"), None
        return row, row.id


class _Divider:
    """Puts tasks into ranges, and the ranges into their file."""

    def __init__(self, listing: Listing, *, max_rows: int, content_of: Callable[[Row], str]) -> None:
        self._listing = listing
        self._max_rows = max_rows
        self._content_of = content_of
        self._open: dict[str, list[Task]] = {}
        self._names = Repeats(listing.folder / "names")
        listing.tasks_path.unlink(missing_ok=True)  # a worker of a run that was killed may still read it
        self._file = listing.tasks_path.open("xb")
        self._rows = listing.rows_path.open("wb")

    def add(self, task: Task) -> None:
        self._names.add(task.row.name)
        tasks = self._open.setdefault(task.row.split, [])
        tasks.append(task)
        if len(tasks) == self._max_rows:
            self._close(task.row.split)

    def finish(self, root: Root) -> None:
        for split in list(self._open):
            self._close(split)
        self.close()
        repeated = self._names.found()
        self._names.remove()
        if repeated:
            self._check_names(repeated, root)

    def close(self) -> None:
        self._file.close()
        self._rows.close()

    def _close(self, split: str) -> None:
        tasks = self._open.pop(split)
        data = pickle.dumps(tasks, pickle.HIGHEST_PROTOCOL)
        ranges = self._listing.ranges
        ranges.append(Range(len(ranges), split, len(tasks), self._file.tell(), len(data)))
        self._file.write(data)
        self._rows.write(_encode([self._listed(task) for task in tasks]))
        self._rows.write(b"\n")
        self._listing.num_problems += sum(task.row.problem is not None for task in tasks)

    def _listed(self, task: Task) -> ListedRow:
        row = task.row
        return ListedRow(task.number, row.name, row.place, self._content_of(row))

    def _check_names(self, repeated: Set[int], root: Root) -> None:
        """Raise DataError when two of the rows whose names have these hashes have the same name."""
        places: dict[str, str] = {}
        for rows in self._listing.ranges:
            for task in self._listing.tasks(rows):
                if hash(task.row.name) not in repeated:
                    continue
                if task.row.name in places:
                    earlier = places[task.row.name]
                    raise DataError(
                        f"{root.name} has two rows {task.row.name}: {earlier} and {task.row.place}; rename one"
                    )
                places[task.row.name] = task.row.place


def _task(number: int, row: Row, split: str, root: Root, joined: Set[str], ids: _Ids | None) -> Task:
    row = _in_split(row, split, is_joined=split in joined)
    if row.name.startswith("/") or ".." in row.name.split("/"):
        raise DataError(f"{root.name}: the row name {row.name!r} leads out of the image folder; rename {row.file}")
    row, id_ = (row, None) if ids is None else ids.taken_by(row)
    return Task(number=number, id=id_ or f"{split}-{number:010d}", row=row)


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


def _why(reasons: Counter[str]) -> str:
    return ", ".join(f"{num} skipped ({reason})" for reason, num in reasons.most_common(3))
