"""What a converter is, and how one is found by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from phidata.conversion.media import Media
from phidata.errors import UsageError
from phidata.records import Turn
from phidata.storage.hub import HubFile, HubFiles
from phidata.storage.source import Root

ENTRY_POINTS = "phidata.converters"

Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of one converter: `--name` on the command line, `settings["name"]` in Python.

    Its value is a string, or None when nothing was given and there is no `default`; with `multiple` a tuple of strings
    in the order in which they were given, empty without any; with `flag` a bool. `choices` are all that it may be.
    """

    name: str
    help: str
    default: str | tuple[str, ...] | None = None
    choices: tuple[str, ...] = ()
    multiple: bool = False
    flag: bool = False
    metavar: str | None = None


@dataclass(frozen=True, kw_only=True)
class About:
    """What a converter says about itself: `phidata formats` lists it, the engine goes by it.

    `name` is the data set's: rows name it as their source, the jsonl files begin with it. `kind` says in a few words
    what the data are, `source` what --source may be. `hub` are the places on the hub that can be read: the first is the
    default, or with an empty `repo_id` any that --source names; a `HubFiles` pattern may hold `{option}`, which is
    replaced by that setting. `splits` are split expressions
    that are used when the source has exactly the splits which they name and nothing else was asked for. `generic`
    converters take nearly anything, so `phidata detect` names them last.
    """

    name: str
    kind: str
    source: str
    hub: tuple[HubFile | HubFiles, ...] = ()
    licence: str = "the publisher's"
    options: tuple[Option, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    generic: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row to convert. A converter adds what it needs; the whole is sent to a worker process.

    `split` is the source's own. `name` is unique in the data set and a relative POSIX path: images that have no file of
    their own are called `<name>.<k>.jpg`. `file` is what the row is made from, below the source folder, and `line` the
    line or row in it, from 1: messages name both. `id` is what the source calls the row; it is used with `--ids source`
    only. `problem` says why the row can not be converted, when that is known beforehand.
    """

    split: str
    name: str
    file: str
    line: int | None = None
    id: str | None = None
    problem: str | None = None

    @property
    def place(self) -> str:
        """Where the row stands in its source: `dev.json:17`, or the file alone."""
        return self.file if self.line is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Something in the source that is no row of the data set, and why. It is counted, and takes no id.

    `reason` is the same text for all that are skipped for the same reason; they are counted by it.
    """

    file: str
    reason: str
    split: str | None = None
    line: int | None = None


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A row's turns, with what some converters have beside them. `source` is the converter's name when it is None."""

    turns: Sequence[Turn]
    metadata: dict[str, Any] | None = None
    source: str | None = None


RowT = TypeVar("RowT", bound=Row)


class Converter(Protocol[RowT]):
    """One kind of source. Registered by an entry point of the group `phidata.converters`, under its name."""

    @property
    def about(self) -> About: ...

    def rows(self, root: Root, settings: Settings) -> Iterable[RowT | Skip]:
        """List every row of the source in a fixed order, split by split, without opening media.

        Everything that makes the source another kind than this one is found before the first row is given, and cheaply:
        UsageError with what was found and what is expected. A row that can be seen to be wrong is a row with a
        `problem`. DataError for what makes all of the source unusable, such as half a file.
        """
        ...

    def convert(self, row: RowT, media: Media) -> tuple[Turn, ...] | Converted:
        """Make the turns of one row. Pure: the same row gives the same turns, in any process and any order.

        Raises DataError for a row that can not be converted: it fails, the others go on.
        """
        ...


def find_converter(name: str) -> Converter[Row]:
    """Load the converter that is registered as `name`, or the object `converter` of a module that is not registered,
    given as `package.module` or as a file `module.py`.

    Raises UsageError naming the nearest there is, and for a module that can not be loaded or has no converter.
    """
    registered = registered_converters()
    if name in registered:
        return _checked(name, _loaded(name, registered[name].load))
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise UsageError(f"no file {name}; give a module with a converter, or a name of `phidata formats`")
        return _checked(name, _loaded(name, lambda: _load_file(Path(name).resolve()).converter))
    if "." in name:
        return _checked(name, _loaded(name, lambda: import_module(name).converter))
    near = get_close_matches(name, registered, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "there are " + ", ".join(map(repr, registered))
    raise UsageError(f"no converter {name!r}; {hint} (`phidata formats` lists them)")


def _loaded(name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (ImportError, SyntaxError, AttributeError, OSError) as error:
        raise UsageError(f"converter {name!r} can not be loaded ({type(error).__name__}: {error})") from error


def _load_file(path: Path) -> ModuleType:
    """The module in a file, under a name of its own, so that its rows can be sent to worker processes and back."""
    name = f"phidata_converter_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _checked(name: str, found: Any) -> Converter[Row]:
    if not isinstance(getattr(found, "about", None), About):
        raise UsageError(f"converter {name!r} has no `about` that is a phidata.conversion.About")
    converter: Converter[Row] = found
    return converter


def registered_converters() -> dict[str, EntryPoint]:
    """The entry points of all installed converters by name, sorted."""
    return {point.name: point for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)}


def full_settings(about: About, given: Settings) -> dict[str, Any]:
    """The value of each option of a converter, defaults included.

    Raises UsageError for an unknown name, with the nearest one that is known, and for a value that is no choice.
    """
    known = {option.name: option for option in about.options}
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            names = ", ".join(f"--{other.replace('_', '-')}" for other in known) or "none"
            hint = f"did you mean --{near[0].replace('_', '-')}?" if near else f"it has {names}"
            raise UsageError(f"converter {about.name} has no option --{name.replace('_', '-')}; {hint}")
    return {name: _value(option, given.get(name), about.name) for name, option in known.items()}


def _value(option: Option, given: Any, converter: str) -> Any:
    if option.flag:
        return bool(given)
    value = option.default if given is None or (option.multiple and not given) else given
    values = tuple(value or ()) if option.multiple else (value,)
    for one in values:
        if option.choices and one is not None and one not in option.choices:
            flag = f"--{option.name.replace('_', '-')}"
            raise UsageError(f"{flag} of {converter} is {one!r}; it is one of {', '.join(option.choices)}")
    return values if option.multiple else value
