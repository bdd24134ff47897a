"""Conversions on their way to a store, without converting: the data folder is made beforehand.

    python -m tests.conversion.delivering URL SCRATCH FOLDER

sends a finished folder as `phidata convert` sends what it has made.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import fsspec

from phidata.conversion.delivery import delivery
from phidata.conversion.journal import Header

HEADER = Header(
    converter="birds",
    options={"num_frames": 8},
    source={"kind": "archive", "sha256": "0" * 64, "bytes": 1},
    folder=None,
    images=None,
    versions={"phidata": "0.1.0"},
)


def deliver(url: str, scratch: Path, folder: Path, *, header: Header = HEADER, overwrite: bool = False) -> bool:
    """Send a folder; whether it had to be made."""
    with delivery(url, header, scratch, overwrite=overwrite) as place:
        is_made = place.converted() is None
        if is_made:
            shutil.copytree(folder, place.folder)
        place.send()
    return is_made


def objects(url: str) -> dict[str, str]:
    """Every object below a URL with the sha256 of its bytes."""
    files, top = fsspec.url_to_fs(url)
    files.invalidate_cache()
    return {
        name[len(top) + 1 :]: hashlib.sha256(files.cat_file(name)).hexdigest()
        for name in files.find(top)
        if name != top
    }


if __name__ == "__main__":
    deliver(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
