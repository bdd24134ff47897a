"""phidata: one schema-validated conversation format for vision-language data.

    import phidata
    report = phidata.validate("train.jsonl")
    manifest = phidata.convert("ucf101", source="UCF101_subset.tar.gz", out="data/ucf101")
    rows = phidata.load("data/ucf101", split="train")

Importing this package is cheap: what a name needs is imported when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from phidata.errors import DataError, PhidataError, UsageError
from phidata.records import Conversation, Turn

if TYPE_CHECKING:
    from phidata.conversion import Manifest, convert
    from phidata.curation import Deduplicated, Divided, Merged, dedup, merge, split
    from phidata.diagnostics import Diagnostic
    from phidata.exporting import Exported, export
    from phidata.loading import ConversationData, load
    from phidata.previewing import Page, preview
    from phidata.publishing import Publication, push
    from phidata.repair import Repaired, fix
    from phidata.statistics import Statistics, stats
    from phidata.streaming import Sample, Stream, stream
    from phidata.validation import Report, TokenLimit, validate
    from phidata.verification import Verification, verify

__version__ = "0.1.0"
__all__ = [
    "Conversation",
    "ConversationData",
    "DataError",
    "Deduplicated",
    "Diagnostic",
    "Divided",
    "Exported",
    "Manifest",
    "Merged",
    "Page",
    "PhidataError",
    "Publication",
    "Repaired",
    "Report",
    "Sample",
    "Statistics",
    "Stream",
    "TokenLimit",
    "Turn",
    "UsageError",
    "Verification",
    "convert",
    "dedup",
    "export",
    "fix",
    "load",
    "merge",
    "preview",
    "push",
    "split",
    "stats",
    "stream",
    "validate",
    "verify",
]

_LAZY = {
    "ConversationData": "phidata.loading",
    "Deduplicated": "phidata.curation",
    "Diagnostic": "phidata.diagnostics",
    "Divided": "phidata.curation",
    "Exported": "phidata.exporting",
    "Manifest": "phidata.conversion",
    "Merged": "phidata.curation",
    "Page": "phidata.previewing",
    "Publication": "phidata.publishing",
    "Repaired": "phidata.repair",
    "Report": "phidata.validation",
    "Sample": "phidata.streaming",
    "Statistics": "phidata.statistics",
    "Stream": "phidata.streaming",
    "TokenLimit": "phidata.validation",
    "Verification": "phidata.verification",
    "convert": "phidata.conversion",
    "dedup": "phidata.curation",
    "export": "phidata.exporting",
    "fix": "phidata.repair",
    "load": "phidata.loading",
    "merge": "phidata.curation",
    "preview": "phidata.previewing",
    "push": "phidata.publishing",
    "split": "phidata.curation",
    "stats": "phidata.statistics",
    "stream": "phidata.streaming",
    "validate": "phidata.validation",
    "verify": "phidata.verification",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'phidata' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
