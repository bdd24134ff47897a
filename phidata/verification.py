"""`phidata.verify`: whether a data folder is what its manifest and its ledger say."""

from __future__ import annotations

from pathlib import Path

import msgspec

from phidata.errors import PhidataError
from phidata.storage.inspection import Mismatch, Verification, inspect_folder
from phidata.storage.remote import is_remote, shown
from phidata.storage.scratch import scratch_folder

__all__ = ["Mismatch", "Verification", "verify"]


def verify(path: str | Path) -> Verification:
    """Check a data folder of any shape against its manifest: bytes, sha256 and rows of each file, every image, and the
    sums of the ledger.

    All of the data is read. Progress goes to standard error. A folder in a store, `s3://bucket/birds`, is fetched for
    the time of it. Raises UsageError when there is no such folder, or no manifest in it, DataError when a conversion
    into it has not finished, and when a store does not answer.
    """
    if is_remote(path):
        return _verify_remote(str(path))
    return inspect_folder(Path(path)).verification


def _verify_remote(url: str) -> Verification:
    from phidata.storage.source_copy import SourceCopy

    copy = SourceCopy(url, scratch_folder(None))
    here, there = str(copy.path), shown(url)
    try:
        found = inspect_folder(copy.path).verification
    except PhidataError as error:
        raise type(error)(str(error).replace(here, there)) from error
    finally:
        copy.remove()
    mismatches = (msgspec.structs.replace(one, message=one.message.replace(here, there)) for one in found.mismatches)
    return msgspec.structs.replace(found, folder=there, mismatches=tuple(mismatches))
