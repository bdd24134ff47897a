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
    from phidata.diagnostics import Diagnostic
    from phidata.loading import ConversationData, load
    from phidata.validation import Report, validate

__version__ = "0.1.0"
__all__ = [
    "Conversation",
    "ConversationData",
    "DataError",
    "Diagnostic",
    "Manifest",
    "PhidataError",
    "Report",
    "Turn",
    "UsageError",
    "convert",
    "load",
    "validate",
]

_LAZY = {
    "ConversationData": "phidata.loading",
    "Diagnostic": "phidata.diagnostics",
    "Manifest": "phidata.conversion",
    "Report": "phidata.validation",
    "convert": "phidata.conversion",
    "load": "phidata.loading",
    "validate": "phidata.validation",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'phidata' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
