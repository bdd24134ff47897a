"""The rows of a source in their order, numbered, before any of them is converted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from phidata.conversion.converter import Row, Skip
from phidata.conversion.worker import Task
from phidata.errors import DataError
from phidata.storage.source import Root


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Every row as a task, and what is no row. A row's number is its place among the rows, whatever becomes of it."""

    tasks: list[Task]
    skips: list[Skip]

    @property
    def splits(self) -> list[str]:
        """The names of the splits in the order of the source."""
        found = [task.row.split for task in self.tasks] + [skip.split for skip in self.skips if skip.split is not None]
        return list(dict.fromkeys(found))


def list_rows(listed: Iterable[Row | Skip], root: Root) -> Listing:
    """Number the rows and give them their ids: `<split>-<number>`, ten digits, counted through all splits.

    Raises DataError when there is no row, when two have the same name, whose images would overwrite each other, and
    when a name leads out of the image folder.
    """
    tasks: list[Task] = []
    skips: list[Skip] = []
    files: dict[str, str] = {}
    for item in listed:
        if isinstance(item, Skip):
            skips.append(item)
            continue
        row = _printable(item)
        if row.name.startswith("/") or ".." in row.name.split("/"):
            raise DataError(f"{root.name}: the row name {row.name!r} leads out of the image folder; rename {row.file}")
        if row.name in files:
            raise DataError(f"{root.name} has two rows {row.name}: {files[row.name]} and {row.file}; rename one")
        files[row.name] = row.file
        tasks.append(Task(number=len(tasks), id=f"{row.split}-{len(tasks):010d}", row=row))
    if not tasks:
        raise DataError(f"{root.name} holds no rows to convert")
    return Listing(tasks=tasks, skips=skips)


def _printable(row: Row) -> Row:
    """The row itself; one whose name can not be written as UTF-8 becomes a row that fails under a similar name."""
    try:
        f"{row.name}{row.file}".encode()
    except UnicodeEncodeError:
        name, file = (text.encode(errors="surrogateescape").decode(errors="replace") for text in (row.name, row.file))
        return replace(row, name=name, file=file, problem="its name is not UTF-8; rename the file")
    return row
