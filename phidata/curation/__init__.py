"""Data sets from data sets: merged, split, without duplicates."""

from __future__ import annotations

from phidata.curation.deduplication import dedup
from phidata.curation.findings import Deduplicated
from phidata.curation.merging import Merged, merge
from phidata.curation.splitting import Divided, split

__all__ = ["Deduplicated", "Divided", "Merged", "dedup", "merge", "split"]
