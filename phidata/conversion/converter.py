"""What a converter is, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol, TypeVar

from phidata.conversion.media import Media
from phidata.errors import UsageError
from phidata.records import Turn
from phidata.storage.hub import HubFile
from phidata.storage.source import Root

ENTRY_POINTS = "phidata.converters"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row to convert. A converter adds what it needs; the whole is sent to a worker process.

    `name` is unique in the data set and a relative POSIX path: the row's images are called `<name>.<k>.jpg`. `file` is
    what the row is made from, below the source folder. `problem` says why the row can not be converted, when that is
    known beforehand.
    """

    split: str
    name: str
    file: str
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Skip:
    """Something in the source that is no row of the data set, and why. It is counted, and takes no id."""

    file: str
    reason: str
    split: str | None = None


RowT = TypeVar("RowT", bound=Row)


class Converter(Protocol[RowT]):
    """One source of data. Registered by an entry point of the group `phidata.converters`, under its name."""

    @property
    def name(self) -> str:
        """The data set's name: in ids' `source`, in file names, on the command line."""
        ...

    @property
    def hub(self) -> HubFile:
        """What is downloaded when no source is given."""
        ...

    def rows(self, root: Root) -> Iterable[RowT | Skip]:
        """List every row of the source in a fixed order, split by split, without opening media.

        Raises UsageError, with what was found and what is expected, for a folder that is laid out otherwise.
        """
        ...

    def convert(self, row: RowT, media: Media) -> tuple[Turn, ...]:
        """Make the turns of one row. Pure: the same row gives the same turns, in any process and any order.

        Raises DataError for a row that can not be converted: it fails, the others go on.
        """
        ...


def find_converter(name: str) -> Converter[Row]:
    """Load the converter that is registered as `name`. Raises UsageError naming those there are."""
    registered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in registered:
        names = ", ".join(repr(other) for other in sorted(registered)) or "none; install the package that has it"
        raise UsageError(f"no converter {name!r}; there are {names}")
    converter: Converter[Row] = registered[name].load()
    return converter
