"""What an earlier conversion has left in an output folder: found, and removed without anybody else's files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from phidata.errors import PhidataError, UsageError
from phidata.storage.folder import CARD, FAILURES, IMAGES, JOURNAL, MANIFEST
from phidata.storage.ledger import LEDGER
from phidata.storage.manifest import Manifest, read_manifest
from phidata.storage.splits import companions
from phidata.storage.tree import files_below

UNPACKED = ".source"  # where an archive is unpacked while its rows are converted

_SHARDS = ("*-?????-of-?????.tar", "*-?????-of-?????.parquet", "*-?????-of-?????.arrow")
_OTHERS = (CARD, LEDGER, FAILURES, "dataset_dict.json", "state.json", "dataset_info.json")


def check_all_ours(root: Path) -> None:
    """Raise UsageError when there are images in a finished conversion that none of its rows names."""
    if not (root / MANIFEST).exists():
        return
    manifest = read_manifest(root)
    strangers = [path for path in _image_files(root) if path not in _named_images(root, manifest)]
    if strangers:
        some = ", ".join(f"{IMAGES}/{path}" for path in strangers[:3])
        raise UsageError(
            f"{root} holds {len(strangers)} images that no row of it names ({some}); move them away before --overwrite"
        )


def earlier_files(root: Path, name: str) -> list[str]:
    """What a conversion by the converter `name` has written besides images, finished or not, in whatever shape: the
    files that the manifest names; of a conversion without one, those called so."""
    with suppress(UsageError):
        return named_files(read_manifest(root))
    patterns = (f"{name}_*.jsonl", *_SHARDS, *_OTHERS)
    found = [parts for parts in files_below(root) if parts[0] not in (UNPACKED, JOURNAL) and len(parts) <= 2]
    return ["/".join(parts) for parts in found if any(fnmatchcase(parts[-1], pattern) for pattern in patterns)]


def named_files(manifest: Manifest) -> list[str]:
    """What a finished conversion consists of besides its images and the manifest."""
    rows = [file.name for ledger in manifest.splits.values() for file in ledger.files]
    return [*rows, *companions(manifest), CARD, LEDGER, FAILURES]


def remove_earlier(root: Path, files: Iterable[str]) -> None:
    """Remove these files of an earlier conversion, its images, and the folders that are empty then."""
    shutil.rmtree(root / IMAGES, ignore_errors=True)
    for file in files:
        (root / file).unlink(missing_ok=True)
    for entry in root.iterdir():
        if entry.is_dir() and entry.name not in (UNPACKED, JOURNAL):
            with suppress(OSError):  # it is not empty
                entry.rmdir()


def _image_files(root: Path) -> list[str]:
    return ["/".join(parts) for parts in files_below(root / IMAGES)] if (root / IMAGES).is_dir() else []


def _named_images(root: Path, manifest: Manifest) -> set[str]:
    """The images that rows name; of rows that can not be read, none."""
    from phidata.loading import load  # takes numpy, which no other part of a conversion needs

    named: set[str] = set()
    for split, ledger in manifest.splits.items():
        if ledger.written:
            with suppress(PhidataError):
                named.update(image for row in load(root, split) for image in row.images)
    return named
