"""Where things lie in a data folder of any shape: the files of each split, `images/`, `manifest.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from phidata.errors import DataError, UsageError
from phidata.regular import check_regular, check_text
from phidata.storage.shape import SUFFIXES, Shape, check_split_name
from phidata.storage.shard_names import find_shards

IMAGES = "images"
MANIFEST = "manifest.json"
CARD = "README.md"
JOURNAL = ".journal"  # a folder, there for as long as a conversion into it is unfinished
FAILURES = "failures.jsonl"


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """One data set on disk: the files of each split in the order of their rows (one jsonl file, or shards), and the
    folder below which image paths start where images are files (shape images-jsonl).

    `name` is what the data set is called, as its manifest says, else as its jsonl files are, else "data". The splits
    stand in the order of the manifest, those that it does not name behind them. `counts` has the number of rows of each
    file, for the splits of which the manifest tells.
    """

    root: Path
    name: str
    shape: Shape
    files: dict[str, tuple[Path, ...]]
    images: Path
    counts: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Path]:
        """The splits by name, each with its first file."""
        return {name: files[0] for name, files in self.files.items()}

    def split(self, name: str) -> tuple[Path, ...]:
        """The files of one split. Raises UsageError naming the splits there are."""
        if name not in self.files:
            found = ", ".join(repr(split) for split in sorted(self.files))
            raise UsageError(f"no split {name!r} in {self.root}; it has {found}")
        return self.files[name]


def open_folder(path: str | Path) -> DataFolder:
    """Read the layout of a data folder, from its manifest where it has one, else from the names of its files; the
    files themselves are not opened.

    Raises UsageError when there is no such folder or no data in it, DataError when a conversion into it has not
    finished, when a shard is missing and when its manifest is none.
    """
    root = Path(path)
    if not root.exists():
        raise UsageError(f"no data folder {root}; make one with `phidata convert --from ucf101 --out {root}`")
    if not root.is_dir():
        raise UsageError(f"{root} is a file, not a data folder; give the folder that holds <name>_<split>.jsonl")
    if (root / JOURNAL).exists() and not (root / MANIFEST).exists():
        raise DataError(
            f"{root} is an unfinished conversion; run the same `phidata convert` command again to finish it"
        )
    layout = _read_layout(root)
    if layout is None or layout.shape == "images-jsonl":
        shape, files = _look_around(root, layout)
    else:
        shape, files = layout.shape, layout.files(root)
    images = root / IMAGES
    return DataFolder(
        root=root,
        name=layout.name if layout and layout.name else _name_by_files(shape, files),
        shape=shape,
        files=files,
        images=images if images.is_dir() else root,
        counts={} if layout is None else layout.counts(),
    )


def image_file(images: Path, path: str) -> Path:
    """Where the image that a row calls `path` lies. Raises DataError when that leads out of the image folder."""
    if leads_out(path):
        raise DataError(f"image path {path!r} leads out of {images}; paths are relative, without '..'")
    return images.joinpath(*path.split("/"))


def leads_out(path: str) -> bool:
    """Whether a path below a data folder is none: it is absolute, goes up, or is no path on every system."""
    parts = path.split("/")
    return not parts[0] or ".." in parts or "\\" in path or "\0" in path


class _File(msgspec.Struct):
    name: str
    rows: int

    def __post_init__(self) -> None:
        if leads_out(self.name):
            raise ValueError(f"the file name {self.name!r} leads out of the folder")


class _Split(msgspec.Struct):
    files: list[_File] = []


class _Layout(msgspec.Struct):
    """What the manifest says of where things lie."""

    name: str = ""
    shape: Shape = "images-jsonl"
    splits: dict[str, _Split] = {}

    def __post_init__(self) -> None:
        for split in self.splits:
            try:
                check_split_name(split)
            except UsageError as error:
                raise ValueError(str(error)) from error

    def files(self, root: Path) -> dict[str, tuple[Path, ...]]:
        for split in self.splits.values():
            for file in split.files:
                if not (root / file.name).is_file():
                    raise DataError(f"{root} lacks {file.name}, which its manifest names; copy it there")
        return {name: tuple(root / file.name for file in split.files) for name, split in self.splits.items()}

    def counts(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(file.rows for file in split.files) for name, split in self.splits.items()}


def _read_layout(root: Path) -> _Layout | None:
    manifest = root / MANIFEST
    if not manifest.is_file():
        return None
    try:
        return msgspec.json.decode(manifest.read_bytes(), type=_Layout)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{manifest} is not the manifest of a conversion ({error}); convert again, or remove it"
        ) from error


def _look_around(root: Path, layout: _Layout | None) -> tuple[Shape, dict[str, tuple[Path, ...]]]:
    """The shape and the files of a folder by their names: jsonl files, else shards."""
    if lines := _jsonl_files(root, layout):
        return "images-jsonl", lines
    found: dict[Shape, dict[str, tuple[Path, ...]]] = {
        shape: files for shape in SUFFIXES if (files := find_shards(root, shape))
    }
    if not found:
        raise UsageError(_no_data(root))
    if len(found) > 1:
        raise UsageError(f"{root} holds shards of {' and '.join(found)}; keep one data set a folder")
    return next(iter(found.items()))


def _no_data(root: Path) -> str:
    for suffix in SUFFIXES.values():
        if odd := sorted(root.glob(f"*.{suffix}")):
            return (
                f"{odd[0]} is not called as a shard is, such as train-00000-of-00001.{suffix}; "
                "rename it, or give the file instead of its folder"
            )
    return f"{root} holds no <name>_<split>.jsonl; it is not a data folder"


def _jsonl_files(root: Path, layout: _Layout | None) -> dict[str, tuple[Path, ...]]:
    names = {file.name: split for split, ledger in layout.splits.items() for file in ledger.files} if layout else {}
    splits: dict[str, tuple[Path, ...]] = {}
    for file in sorted(root.glob("*_*.jsonl")):
        if file.name == FAILURES or file.name.startswith("."):
            continue
        check_text(check_regular(file))
        split = names.get(file.name) or file.stem.rpartition("_")[2]
        if split in splits:
            both = f"{splits[split][0].name} and {file.name}"
            raise UsageError(f"{root} has two files for split {split!r}: {both}; keep one data set a folder")
        splits[split] = (file,)
    order = list(layout.splits) if layout else []
    return {split: splits[split] for split in [*filter(splits.__contains__, order), *splits]}


def _name_by_files(shape: Shape, files: dict[str, tuple[Path, ...]]) -> str:
    if shape == "images-jsonl":
        return next(iter(files.values()))[0].stem.rpartition("_")[0]
    return "data"
