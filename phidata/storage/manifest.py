"""What a finished data folder says about itself: `manifest.json`, described by schemas/manifest.schema.json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from phidata.errors import UsageError
from phidata.regular import check_regular
from phidata.storage.folder import MANIFEST, leads_out
from phidata.storage.shape import Shape

FORMAT_VERSION = 2

Identity = dict[str, str | int]
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class DataFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file with rows: its path below the folder, how many rows and bytes it has, and the sha256 of it."""

    name: str
    rows: Count
    bytes: Count
    sha256: str

    def __post_init__(self) -> None:
        if leads_out(self.name):
            raise ValueError(f"the file name {self.name!r} leads out of the folder")


class SplitLedger(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one split: `rows_in` = `written` + `skipped` + `failed`; and its files in the order of their rows."""

    files: tuple[DataFile, ...]
    rows_in: Count
    written: Count
    skipped: Count
    failed: Count


class RowLedger(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of the source, those that belong to no split included, and how many were skipped for which reason."""

    rows_in: Count
    written: Count
    skipped: Count
    failed: Count
    skip_reasons: dict[str, Count]


class ImageTree(msgspec.Struct, frozen=True, kw_only=True):
    """The images: how many, how many bytes, and the sha256 of their list.

    The list has a line `<sha256>  <path>` for each image, as `sha256sum` prints it in the image folder, in the order in
    which the rows first name them; an image that several rows show stands in it once.
    """

    num: Count
    bytes: Count
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole data set: what it was made from, by what, and what came out of every row. Nothing in it tells the time,
    the machine or the place, so the same input, options and versions give the same bytes.

    `name` is the data set's, with which its files' names begin. `converter` is what made it: a converter's name, or
    the command that wrote a data set from others. `shape` is one of `phidata.storage.shape.SHAPES`.
    """

    format_version: int
    name: str
    converter: str
    shape: Shape
    versions: dict[str, str]
    options: dict[str, Any]
    source: Identity
    rows: RowLedger
    splits: dict[str, SplitLedger]
    images: ImageTree

    def to_json(self) -> bytes:
        """The text of `manifest.json`."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read_manifest(root: Path) -> Manifest:
    """Read the manifest of a data folder. Raises UsageError when there is none, or one that is not phidata's."""
    try:
        return msgspec.json.decode(check_regular(root / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise UsageError(f"no {MANIFEST} in {root}; it holds no finished conversion") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{root / MANIFEST} is not the manifest of a conversion ({error})") from error
