"""Findings that were there before: a file that lists them, so that only new ones count.

A finding is known again by its file, its code and its fingerprint: the row's id, the place in the row and the value
there. Lines may move; what is found in a row may not change.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from phidata.diagnostics import Diagnostic
from phidata.errors import UsageError
from phidata.storage.room import needing_room
from phidata.storage.sink import new_file

VERSION = 1


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Some findings that are alike; `file` is a path that starts where the baseline lies."""

    file: str
    code: str
    fingerprint: str
    count: int = 1


class _Baseline(msgspec.Struct, kw_only=True):
    version: int
    findings: list[Known]


class Baseline:
    """The findings that are accepted; each accepts as many as it counts."""

    def __init__(self, path: Path, known: Iterable[Known]) -> None:
        self._folder = path.parent
        self._left = Counter({(entry.file, entry.code, entry.fingerprint): entry.count for entry in known})

    def accepts(self, found: Diagnostic) -> bool:
        """Whether a finding is an old one; it is used up by asking."""
        key = _file(found, self._folder), found.code, found.fingerprint
        self._left[key] -= 1
        return self._left[key] >= 0


def read_baseline(path: Path) -> Baseline:
    """Raises UsageError when there is no such file, or one that is no baseline."""
    try:
        baseline = msgspec.json.decode(path.read_bytes(), type=_Baseline)
    except FileNotFoundError as error:
        raise UsageError(f"no baseline {path}; write one with --write-baseline") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not a baseline ({error}); write it again with --write-baseline") from error
    if baseline.version != VERSION:
        raise UsageError(f"{path} is a baseline of version {baseline.version}, not {VERSION}; write it again")
    return Baseline(path, baseline.findings)


def write_baseline(path: Path, found: Iterable[Diagnostic]) -> int:
    """Accept these findings from now on; returns how many they are. One entry a line, in order, for small diffs.

    Raises UsageError when the file can not be written, DataError when the disk is full.
    """
    counts = Counter((_file(finding, path.parent), finding.code, finding.fingerprint) for finding in found)
    lines = [
        msgspec.json.encode(Known(file=file, code=code, fingerprint=fingerprint, count=count))
        for (file, code, fingerprint), count in sorted(counts.items())
    ]
    try:
        with needing_room(), new_file(path) as file:
            file.write(b'{"version": %d, "findings": [\n' % VERSION + b",\n".join(lines) + b"\n]}\n")
    except OSError as error:
        raise UsageError(
            f"the baseline {path} can not be written ({error.strerror}); name a file where one can be"
        ) from error
    return counts.total()


def _file(found: Diagnostic, folder: Path) -> str:
    """The path of the file as it starts from the baseline's folder, however it was named."""
    path = os.path.relpath(found.path, folder).replace(os.sep, "/")
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
