"""Writes a data folder whose ledger says of each row that is left out which other row is its twin."""

from __future__ import annotations

from phidata.storage.ledger import LedgerLine
from phidata.storage.writer import DatasetWriter


class TwinLine(LedgerLine, frozen=True, kw_only=True, omit_defaults=True):
    """A row that is left out, and the row for whose sake: the twin's id and split. `distance` as in `Twin`."""

    twin: str
    twin_split: str
    distance: int | None = None


class TwinWriter(DatasetWriter):
    """A `DatasetWriter` that leaves out rows by naming their twins."""

    def leave_out(self, line: TwinLine) -> None:
        """Account for one row, which is in no file."""
        self._lost.append(line)
