"""Where things lie in a data folder of any shape: the files of each split, `images/`, `manifest.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phidata.errors import DataError, UsageError
from phidata.storage.shape import Shape

IMAGES = "images"
MANIFEST = "manifest.json"
CARD = "README.md"
JOURNAL = ".journal.jsonl"  # lies in the folder for as long as a conversion into it is unfinished
FAILURES = "failures.jsonl"


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """One data set on disk: the files of each split in the order of their rows (one jsonl file, or shards), and the
    folder below which image paths start where images are files (shape images-jsonl)."""

    root: Path
    shape: Shape
    files: dict[str, tuple[Path, ...]]
    images: Path

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
    """Read the layout of a data folder; the files themselves are not opened.

    Raises UsageError when there is no such folder or no data in it, DataError when a conversion into it has not
    finished.
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
    files = sorted(file for file in root.glob("*_*.jsonl") if file.name != FAILURES and not file.name.startswith("."))
    splits: dict[str, Path] = {}
    for file in files:
        split = file.stem.rpartition("_")[2]
        if split in splits:
            names = f"{splits[split].name} and {file.name}"
            raise UsageError(f"{root} has two files for split {split!r}: {names}; keep one data set a folder")
        splits[split] = file
    if not splits:
        raise UsageError(f"{root} holds no <name>_<split>.jsonl; it is not a data folder")
    images = root / IMAGES
    return DataFolder(
        root=root,
        shape="images-jsonl",
        files={split: (file,) for split, file in splits.items()},
        images=images if images.is_dir() else root,
    )


def image_file(images: Path, path: str) -> Path:
    """Where the image that a row calls `path` lies. Raises DataError when that leads out of the image folder."""
    parts = path.split("/")
    if not parts[0] or ".." in parts or "\\" in path or "\0" in path:
        raise DataError(f"image path {path!r} leads out of {images}; paths are relative, without '..'")
    return images.joinpath(*parts)
