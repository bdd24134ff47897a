"""Which files of a source hold its rows, and of which split: tables by their columns, JSON files by their keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from phidata.conversion.converter import Row, Skip
from phidata.errors import DataError, UsageError
from phidata.sources.fields import identifier
from phidata.storage.annotations import Entry, first_keys, json_keys, json_members, json_objects
from phidata.storage.source import Root
from phidata.storage.tables import SUFFIXES, Table, open_table
from phidata.storage.tree import Parts, files_below

MAX_STRANGERS = 20  # JSON files that are looked at before a source counts as another kind

_SHARD = re.compile(r"([\w.]+?)-\d{5}-of-\d{5}")
_WORD = re.compile(r"(?:^|[^a-z])(train|validation|valid|val|dev|eval|test)(?:[^a-z]|$)")
SPLITS = ("train", "validation", "valid", "val", "dev", "eval", "test")


def split_of(file: str) -> str:
    """The split that a file's name tells: `data/train-00000-of-00003.parquet`, `captions_val2014.json`, `test/1.tar`.

    Else that of the nearest folder that is called like a split, else `train`.
    """
    *folders, name = PurePosixPath(file).parts
    shard = _SHARD.match(name)
    if shard and shard[1] != "data":  # as `datasets` calls what it saves to disk, in a folder for each split
        return shard[1]
    if word := _WORD.search(name.lower()):
        return word[1]
    return next((folder.lower() for folder in reversed(folders) if folder.lower() in SPLITS), "train")


def stem_split(file: str) -> str:
    """A file's name without its suffix as the name of a split: `dev_seen` of `dev_seen.jsonl`."""
    return re.sub(r"\W+", "_", PurePosixPath(file).stem)


def by_split(files: Iterable[str]) -> list[str]:
    """The files in the order of their splits: train, validation, test, then others by name."""
    return sorted(files, key=lambda file: (split_rank(split_of(file)), file))


def split_rank(split: str) -> tuple[int, str]:
    """Where a split stands among others: train, validation, test, then others by name."""
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS)), split


@dataclass(frozen=True, kw_only=True)
class SourceTable:
    """One table of a source, and the split whose rows it holds."""

    split: str
    file: str
    path: Path

    @property
    def table(self) -> Table:
        """The table, opened."""
        return open_table(self.path)


def tables(root: Root, *layouts: Sequence[str], folder: str | None = None) -> list[SourceTable]:
    """The Parquet and Arrow files of a source by split; with a folder those that lie in one of that name, or all when
    there is but one kind.

    Raises UsageError, with what was found and what is expected, when there are none, or when the first of them has not
    all columns of one of the layouts; DataError when one is damaged or has other columns than the first.
    """
    files = root.files(".parquet", ".arrow")
    if folder is not None:
        files = _in_folder(root, files, folder)
    if not files:
        raise UsageError(f"{root.name} holds no Parquet or Arrow file with the columns {_either(layouts)}")
    found = _source_tables(root, files)
    columns = found[0].table.columns
    if not any(set(layout) <= set(columns) for layout in layouts):
        raise UsageError(f"{found[0].file} has the columns {_names(columns)}; expected are {_either(layouts)}")
    for table in found[1:]:
        if set(table.table.columns) != set(columns):
            raise DataError(
                f"{table.file} has the columns {_names(table.table.columns)} and {found[0].file} {_names(columns)}; "
                f"give files of one kind"
            )
    return found


def any_tables(root: Root, pattern: str = "*") -> list[SourceTable]:
    """The tables of any kind whose paths match a pattern, by split.

    Raises UsageError when there are none, and DataError when the first of them is empty or damaged, or its first row is
    while none tells the columns.
    """
    files = [file for file in root.files(*SUFFIXES) if fnmatchcase(file, pattern)]
    if not files:
        wanted = "" if pattern == "*" else f" called {pattern}"
        raise UsageError(f"{root.name} holds no table{wanted}; tables are {', '.join(SUFFIXES)}")
    found = _source_tables(root, files)
    if not found[0].table.columns:
        raise _without_columns(found[0])
    return found


def with_keys(
    root: Root, keys: Iterable[str], *suffixes: str, under: str | None = None, members: bool = False
) -> list[str]:
    """The JSON files of a source whose first record has these keys, by split; looked for where they lie least deep.

    With `under` the records of the list that stands under that key are meant, with `members` the members of a document
    that is one object. Raises UsageError, with what was found and what is expected, when there are none, and DataError
    when one can not be read.
    """
    found: list[str] = []
    strangers: dict[str, tuple[str, ...]] = {}
    for file in _least_deep(root.files(*suffixes)):
        has = first_keys(root.path / file, under=under, members=members)
        if set(keys) <= set(has):
            found.append(file)
        else:
            strangers[file] = has
        if not found and len(strangers) == MAX_STRANGERS:
            break
    if found:
        return by_split(found)
    kind = " or ".join(suffixes)
    what = f"a {kind} file whose {'members' if members else 'records'} have {_names(keys)}"
    what += f" under {under!r}" if under else ""
    if not strangers:
        raise UsageError(f"{root.name} holds no {kind} file; expected is {what}")
    file, has = next(iter(strangers.items()))
    has = has or json_keys(root.path / file)
    raise UsageError(f"{root.name} has no file of this kind: expected is {what}; {file} has {_names(has)}")


class JsonLayout(NamedTuple):
    """What the records of one kind of JSON file have, and where they stand: see `with_keys`."""

    keys: tuple[str, ...]
    under: str | None = None
    members: bool = False


def layout_of(root: Root, layouts: Mapping[str, JsonLayout], wanted: str | None) -> tuple[str, list[str]]:
    """Which of the layouts the JSON files of a source have, by its name, and those files; or only try the wanted one.

    Raises UsageError when there are files of none or of several, and what `with_keys` raises.
    """
    found: dict[str, list[str]] = {}
    for name in [wanted] if wanted else layouts:
        keys, under, members = layouts[name]
        with suppress(UsageError) if wanted is None else nullcontext():
            found[name] = with_keys(root, keys, ".json", under=under, members=members)
    if len(found) > 1:
        raise UsageError(f"{root.name} has files of {' and '.join(found)}; pass --layout to say which to read")
    if not found:
        raise UsageError(f"{root.name} holds no json file of {', '.join(layouts)}")
    return found.popitem()


class RowNames:
    """Names for rows that have none in their source: their number in their split."""

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()

    def next(self, split: str) -> str:
        """`<split>/<number>`, seven digits at least, from 0."""
        self._numbers[split] += 1
        return f"{split}/{self._numbers[split] - 1:07}"


@dataclass(frozen=True, kw_only=True)
class RecordRow(Row):
    """A row made from one JSON record."""

    record: Mapping[str, Any]


def record_rows(
    root: Root,
    files: Iterable[str],
    *,
    id: str | None = None,
    under: str | None = None,
    members: bool = False,
    split: Callable[[str], str] = split_of,
) -> Iterator[RecordRow]:
    """Every record of JSON files as a row, `id` the key that names it; with `under` and `members` as in `with_keys`,
    members being named by their own keys.

    What is no JSON object is a row with a problem. Raises DataError for a file that is not JSON to its end.
    """
    names = RowNames()
    for file in files:
        path = root.path / file
        for key, (line, record, problem) in json_members(path) if members else _unnamed(json_objects(path, under)):
            yield RecordRow(
                split=split(file),
                name=names.next(split(file)),
                file=file,
                line=line,
                id=key if members else identifier(record, id) if id else None,
                problem=problem,
                record=record,
            )


def skipped(row: Row, reason: str) -> Skip:
    """The row as one that is skipped for a reason."""
    return Skip(file=row.file, line=row.line, split=row.split, reason=reason)


class ImageFinder:
    """Image files by their names alone, wherever below the source (or --images) they lie."""

    def __init__(self, root: Root) -> None:
        self._places: dict[str, list[str]] = {}
        only_near = root.file is not None and root.images is None
        for file in _near(root) if only_near else files_below(root.images or root.path):
            self._places.setdefault(file[-1], []).append("/".join(file))

    def find(self, *names: str, split: str) -> str:
        """The first of the names that there is, in the split's own folder when it lies in several; else the first
        name, which is missing then. With folders in a name it has to lie in them."""
        for name in names:
            places = self._places.get(PurePosixPath(name).name, [])
            if places := [place for place in places if f"/{place}".endswith(f"/{name}")]:
                return next((place for place in places if split in place.split("/")), places[0])
        return names[0]


def _source_tables(root: Root, files: Iterable[str]) -> list[SourceTable]:
    return [SourceTable(split=split_of(file), file=file, path=root.path / file) for file in by_split(files)]


def _without_columns(source: SourceTable) -> DataError:
    table = source.table
    number, _ = next(table.rows(), (0, None))
    if not number:
        return DataError(f"{source.file} is empty, where columns and rows are expected")
    try:
        table.row(number)
    except DataError as error:
        return DataError(f"{source.file}:{number}: {error}")
    return DataError(f"{source.file}:{number} has no keys, where columns are expected")


def _near(root: Root) -> Iterator[Parts]:
    """What lies beside a data file and in the folders there: what is further away may be half a disk."""
    for path in sorted(root.path.iterdir()):
        if path.is_dir():
            yield from ((path.name, inside.name) for inside in sorted(path.iterdir()))
        else:
            yield (path.name,)


def _in_folder(root: Root, files: list[str], folder: str) -> list[str]:
    """The files in folders of that name; all of them when they are of one kind, in folders for their splits at most."""
    inside = [file for file in files if folder in PurePosixPath(file).parent.parts]
    folders = {PurePosixPath(file).parent.name for file in files}.difference(SPLITS)
    if not inside and len(folders) > 1 and root.path.name != folder:
        raise UsageError(f"{root.name} has no folder {folder!r}; it has {_names(sorted(folders))}")
    return inside or files


def _unnamed(entries: Iterable[Entry]) -> Iterator[tuple[None, Entry]]:
    return ((None, entry) for entry in entries)


def _least_deep(files: Sequence[str]) -> list[str]:
    """Those that are called like a split, and what lies no deeper; without any those with the fewest folders above.

    Below them lie files for single pictures, such as what was read in each.
    """
    named = {file for file in files if _WORD.search(PurePosixPath(file).name.lower())}
    depth = min((file.count("/") for file in named or files), default=0)
    return sorted((file for file in files if file in named or file.count("/") <= depth), key=lambda f: f.count("/"))


def _either(layouts: Iterable[Sequence[str]]) -> str:
    return " or ".join(_names(layout) for layout in layouts)


def _names(names: Iterable[str]) -> str:
    shown = list(map(repr, names))
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "") or "nothing"
