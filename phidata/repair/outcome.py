"""What a repair did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

CRLF = "CRLF"  # line ends have no code: they are allowed, and only made alike


@dataclass(frozen=True, kw_only=True)
class RepairedFile:
    """One file: how often each code was repaired (line ends are counted as CRLF), and what that did to its rows.

    `rows` is how many it had before; `copies` of them were deleted, and `added_rows` stood behind others on a line.
    """

    path: str
    changes: dict[str, int]
    rows: int = 0
    copies: int = 0
    added_rows: int = 0
    paths_changed: bool = False
    bytes: int = 0
    sha256: str = ""
    sha256_before: str = ""


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """What `phidata.fix` did, or would do: the files that change, and what a person should know besides."""

    files: tuple[RepairedFile, ...]
    remarks: tuple[str, ...] = field(default=())
    dry_run: bool = False

    @property
    def num_changes(self) -> int:
        """The number of all repairs."""
        return sum(sum(file.changes.values()) for file in self.files)

    def notes(self) -> Iterator[str]:
        """Sentences for a person: what was done to which file."""
        yield from self.remarks
        done = "would be made" if self.dry_run else "made"
        for file in self.files:
            what = ", ".join(f"{code} {count:,}" for code, count in sorted(file.changes.items()))
            total = sum(file.changes.values())
            yield f"{file.path}: {total:,} repair{'s' * (total != 1)} {done} ({what})"
        if not self.files:
            yield "nothing to repair"
