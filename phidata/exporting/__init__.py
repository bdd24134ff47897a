"""Data sets in the formats of other trainers."""

from phidata.exporting.result import Exported, ExportedSplit, Refusal
from phidata.exporting.run import export

__all__ = ["Exported", "ExportedSplit", "Refusal", "export"]
