"""Which format a file or folder is: every converter is asked, and each answers with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from phidata.conversion.converter import Converter, Row, Skip, find_converter, full_settings, registered_converters
from phidata.conversion.listing import listed_by
from phidata.conversion.media import Clip, Media
from phidata.conversion.options import Options
from phidata.errors import DataError, PhidataError, UsageError
from phidata.loading import load
from phidata.storage.folder import open_folder
from phidata.storage.source import Root, find_source, opened
from phidata.validation import check_line

NUM_LOOKED_AT = 3
MAX_SKIPS = 1000
PHIDATA = "phidata"


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Whether `name` can read a source. `why` says what was found in it, or why it is none."""

    name: str
    matches: bool
    why: str


def detect(path: str | Path) -> list[Detection]:
    """Ask every converter whether it can read a file, folder or archive. Those that can come first, the ones that take
    nearly anything after the others; `phidata` stands for a data set that needs no conversion.

    Images and videos are not opened. Raises UsageError when there is nothing, and what reading an archive raises.
    """
    if not Path(path).exists():
        raise UsageError(f"no file or folder {path}")
    found = [_our_own(Path(path))]
    generic: dict[str, bool] = {PHIDATA: False}
    with TemporaryDirectory(prefix="phidata-") as folder, _opened(Path(path), Path(folder) / "source") as root:
        for name in registered_converters():
            detection, takes_anything = _ask(name, replace(root, name="it"))
            generic[name] = takes_anything
            found.append(detection)
    return sorted(found, key=lambda detection: (not detection.matches, generic[detection.name], detection.name))


@contextmanager
def _opened(path: Path, unpack_to: Path) -> Iterator[Root]:
    """The source to ask about; a file that is neither a data file nor an archive by itself."""
    with ExitStack() as stack:
        try:
            root = stack.enter_context(opened(find_source(path, ()), unpack_to))
        except UsageError:
            root = Root(path=path.resolve().parent, name=str(path), file=path.name)
        yield root


def _our_own(path: Path) -> Detection:
    try:
        if path.is_dir():
            data = open_folder(path)
            splits = ", ".join(data.splits)
            for split in list(data.splits)[:1]:
                next(iter(load(path, split)), None)  # whose columns may be others
            return Detection(name=PHIDATA, matches=True, why=f"a data folder of shape {data.shape}: {splits}")
        with path.open("rb") as file:
            line = file.readline(1 << 24)
    except (PhidataError, OSError) as error:
        return Detection(name=PHIDATA, matches=False, why=str(error))
    wrong = [f"{found.code}: {found.message}" for found in check_line(line) if found.severity == "error"]
    if wrong:
        return Detection(name=PHIDATA, matches=False, why=f"its first line is no row ({wrong[0]})")
    return Detection(name=PHIDATA, matches=True, why="rows in phidata's own format")


def _ask(name: str, root: Root) -> tuple[Detection, bool]:
    try:
        converter = find_converter(name)
    except UsageError as error:
        return Detection(name=name, matches=False, why=str(error)), True
    try:
        return Detection(name=name, matches=True, why=_look(converter, root)), converter.about.generic
    except PhidataError as error:
        return Detection(name=name, matches=False, why=str(error)), converter.about.generic
    except OSError as error:
        return Detection(name=name, matches=False, why=f"it can not be read ({error})"), converter.about.generic


def _look(converter: Converter[Row], root: Root) -> str:
    """What its first rows are. Raises DataError when none of them can be one."""
    problems: list[DataError] = []
    for row in islice(_first_rows(converter, root), NUM_LOOKED_AT):
        try:
            if row.problem is not None:
                raise DataError(row.problem)
            converter.convert(row, _Unopened(root, row, Options()))
        except DataError as error:
            problems.append(error)
        else:
            return f"{converter.about.kind}; first row: {row.place}"
    if problems:
        raise problems[0]
    raise DataError("it has no rows")


def _first_rows(converter: Converter[Row], root: Root) -> Iterator[Row]:
    listed = islice(listed_by(converter, root, full_settings(converter.about, {})), MAX_SKIPS)
    return (item for item in listed if not isinstance(item, Skip))


class _Unopened(Media):
    """Media that take every image and video on trust."""

    def video(self, file: str) -> Clip:
        return Clip((f"{file}.0.jpg",), seconds=None, num_frames=1)

    def image(self, file: str) -> str:
        return file

    def embedded(self, data: bytes | None, *, name: str | None = None) -> str:
        return f"{name}.jpg" if data is not None else "missing.jpg"
