"""`phidata.verify`: whether a data folder is what its manifest and its ledger say."""

from __future__ import annotations

from pathlib import Path

from phidata.storage.inspection import Mismatch, Verification, inspect_folder

__all__ = ["Mismatch", "Verification", "verify"]


def verify(path: str | Path) -> Verification:
    """Check a data folder of any shape against its manifest: bytes, sha256 and rows of each file, every image, and the
    sums of the ledger.

    All of the data is read. Progress goes to standard error. Raises UsageError when there is no such folder, or no
    manifest in it, DataError when a conversion into it has not finished.
    """
    return inspect_folder(Path(path)).verification
