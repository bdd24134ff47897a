"""The conformance kit: whether a converter keeps what the protocol promises (`phidata test-converter`)."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import phidata
from phidata.conversion.converter import Converter, Row, Settings, Skip, find_converter, full_settings
from phidata.conversion.options import Options
from phidata.conversion.outcome import Failed
from phidata.conversion.request import hub_places
from phidata.conversion.task import Task
from phidata.conversion.worker import Attempt, attempt
from phidata.errors import DataError, PhidataError, UsageError
from phidata.storage.shape import check_data_name
from phidata.storage.source import Root, find_source, opened
from phidata.storage.tree import files_below

NUM_CONVERTED = 20  # rows, about, that are converted twice and compared
RESERVED = frozenset(
    (
        *("from", "source", "out", "out_dir", "to", "shard_size", "images", "split", "limit", "sample", "seed", "ids"),
        *("num_frames", "fps", "keyframes", "decoder", "image_format", "quality", "max_side", "keep_bytes", "exif"),
        *(
            "on_error",
            "max_failures",
            "dry_run",
            "jobs",
            "row_timeout",
            "engine",
            "address",
            "overwrite",
            "format",
            "help",
            "debug",
        ),
    )
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One promise, and what breaks it; None when it is kept."""

    promise: str
    broken: str | None


def check_converter(
    name: str, *, source: str | Path | None = None, settings: Settings | None = None
) -> Iterator[Check]:
    """Check a converter, given as for `find_converter`; with a source also what it makes of it.

    Raises UsageError when it can not be loaded or when there is no such source.
    """
    converter = find_converter(name)
    yield _check("its name can be part of file names", lambda: check_data_name(converter.about.name))
    yield _check("its module says in its docstring what a raw row looks like", lambda: _docstring(converter))
    yield _check("its options have names of their own", lambda: _option_names(converter))
    yield _check("an unknown option is refused", lambda: _unknown_option(converter))
    with TemporaryDirectory(prefix="phidata-") as folder:
        place = Path(folder)
        yield _check("an empty folder is refused in one sentence", lambda: _refuses(converter, place / "empty", {}))
        foreign = {"notes.txt": b"nothing of the kind\n", "data.json": b'[{"nothing": 1}]'}
        yield _check("foreign files are refused or failed", lambda: _refuses(converter, place / "foreign", foreign))
        broken = {"data.json": b'[{"a', "data.jsonl": b"\xff\xfe{", "train.parquet": b"PAR1", "data.csv": b"\xff\n"}
        yield _check("broken files are refused or failed", lambda: _refuses(converter, place / "broken", broken))
        if source is not None:
            yield from _checks_of_source(name, converter, str(source), settings or {}, place)


def _checks_of_source(
    name: str, converter: Converter[Row], source: str, settings: Settings, place: Path
) -> Iterator[Check]:
    complete = full_settings(converter.about, settings)
    with opened(find_source(source, hub_places(converter.about, complete, source)), place / "source") as root:
        listed: list[Row | Skip] = []
        yield _check("the source has rows", lambda: listed.extend(_rows(converter, root, complete)))
        if not any(isinstance(item, Row) for item in listed):
            return
        yield _check("a second listing gives the same rows", lambda: _same_rows(converter, root, complete, listed))
        yield _check("rows can be sent to another process", lambda: _can_be_sent(listed))
        yield _check("rows come split by split", lambda: _split_by_split(listed))
        yield _check("names of rows are unique relative paths", lambda: _names(listed))
        yield _check("a row converts to the same each time", lambda: _pure(converter, root, listed))
        yield _check("a row that fails says why in one sentence", lambda: _sentences(converter, root, listed))
    trees: list[str] = []
    for jobs in (1, 2):
        text = f"a conversion with {jobs} process{'es' if jobs > 1 else ''} accounts for every row"
        yield _check(text, lambda jobs=jobs: trees.append(_whole(name, source, settings, place / str(jobs), jobs)))  # type: ignore[misc]
    yield _check("any number of processes gives the same bytes", lambda: _same_trees(trees))


def _same_trees(trees: list[str]) -> None:
    _expect(len(trees) == 2, "there is nothing to compare")
    _expect(len(set(trees)) == 1, "they differ")


def _check(promise: str, look: Callable[[], object]) -> Check:
    """A converter may break in any way: whatever it raises is what breaks the promise."""
    try:
        look()
    except PhidataError as error:
        return Check(promise=promise, broken=str(error))
    except Exception as error:
        return Check(promise=promise, broken=f"{type(error).__name__}: {error}")
    return Check(promise=promise, broken=None)


def _expect(kept: bool, otherwise: str) -> None:
    if not kept:
        raise DataError(otherwise)


def _docstring(converter: Converter[Row]) -> None:
    module = sys.modules[type(converter).__module__]
    _expect(bool(module.__doc__ and module.__doc__.strip()), "it has no docstring")


def _option_names(converter: Converter[Row]) -> None:
    names = [option.name for option in converter.about.options]
    taken = [name for name in names if name in RESERVED or not name.isidentifier()]
    _expect(not taken, f"{', '.join(taken)}: every converter has an option of that name, or it is no identifier")
    _expect(len(set(names)) == len(names), "two options have the same name")


def _unknown_option(converter: Converter[Row]) -> None:
    try:
        full_settings(converter.about, {"no_such_option": "1"})
    except UsageError:
        return
    raise DataError("it is accepted")


def _refuses(converter: Converter[Row], folder: Path, files: dict[str, bytes]) -> None:
    """What is nothing of the kind has to end in a UsageError or DataError, or in nothing but failing rows."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    root = Root(path=folder, name=str(folder))
    try:
        rows = _rows(converter, root, full_settings(converter.about, {}))
    except (UsageError, DataError) as error:
        _one_sentence(str(error))
        return
    for task in _tasks(rows):
        _expect(isinstance(attempt(task, root, Options(), converter), Failed), f"{task.row.place} is taken for a row")


def _rows(converter: Converter[Row], root: Root, settings: Settings) -> list[Row | Skip]:
    return list(converter.rows(root, settings))


def _same_rows(converter: Converter[Row], root: Root, settings: Settings, listed: list[Row | Skip]) -> None:
    _expect(_rows(converter, root, settings) == listed, "the second differs")


def _can_be_sent(listed: list[Row | Skip]) -> None:
    _expect(pickle.loads(pickle.dumps(listed)) == listed, "a row is not the same after pickling")


def _split_by_split(listed: list[Row | Skip]) -> None:
    splits = [split for split, _ in groupby(item.split for item in listed if isinstance(item, Row))]
    _expect(len(set(splits)) == len(splits), f"the splits come as {', '.join(splits[:6])}")


def _names(listed: list[Row | Skip]) -> None:
    names = [item.name for item in listed if isinstance(item, Row)]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    _expect(not twice, f"two rows are called {min(twice, default='')!r}")
    away = [name for name in names if name.startswith("/") or ".." in name.split("/") or "\\" in name]
    _expect(not away, f"{away[:1]} is no relative path")


def _pure(converter: Converter[Row], root: Root, listed: list[Row | Skip]) -> None:
    for task in _tasks(listed):
        first, second = (attempt(task, root, Options(num_frames=1), converter) for _ in range(2))
        _expect(first == second, f"{task.row.place} differs from one time to the next")


def _sentences(converter: Converter[Row], root: Root, listed: list[Row | Skip]) -> None:
    for task in _tasks(listed):
        outcome = attempt(task, root, Options(num_frames=1), converter)
        if not isinstance(outcome, Attempt):
            _one_sentence(outcome.reason)


def _one_sentence(text: str) -> None:
    _expect(len(text.strip()) > 0 and "\n" not in text, f"{text!r} is not one line")


def _tasks(listed: list[Row | Skip]) -> list[Task]:
    rows = [item for item in listed if isinstance(item, Row)]
    step = max(1, len(rows) // NUM_CONVERTED)
    return [Task(number=number, id=str(number), row=row) for number, row in enumerate(rows[::step])]


def _whole(name: str, source: str, settings: Settings, out: Path, jobs: int) -> str:
    """Convert all, every row allowed to fail, and return the hash of the folder."""
    manifest = phidata.convert(
        name, source=source, settings=settings, out=out, num_frames=1, max_failures=sys.maxsize, jobs=jobs
    )
    _expect(manifest.rows.written > 0, f"all of its {manifest.rows.failed} rows fail, for the reasons shown above")
    digest = hashlib.sha256()
    for parts in files_below(out):
        digest.update("/".join(parts).encode() + b"\0" + out.joinpath(*parts).read_bytes())
    return digest.hexdigest()
