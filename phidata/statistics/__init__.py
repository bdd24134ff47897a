"""What is in a data set, in numbers."""

from __future__ import annotations

from phidata.statistics.report import open_splits, stats
from phidata.statistics.row_tokens import RowTokens
from phidata.statistics.summary import Statistics

__all__ = ["RowTokens", "Statistics", "open_splits", "stats"]
