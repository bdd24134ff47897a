"""The lengths of all rows, as a few numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from phidata.diagnostics import TokenSummary
from phidata.validation.token_count import TokenLimit


class TokenCounts:
    """Takes in the lengths of rows, four bytes each."""

    def __init__(self) -> None:
        self._counts = array("I")

    def add(self, counts: Iterable[int]) -> None:
        self._counts.extend(counts)

    def summary(self, limit: TokenLimit, num_rows: int) -> TokenSummary:
        """What `num_rows` rows say, of which some may not have been counted."""
        ordered = sorted(self._counts)
        over = sum(count > limit.max_length for count in ordered) if limit.max_length is not None else 0
        return TokenSummary(
            model=limit.model,
            num_crops=limit.num_crops,
            max_length=limit.max_length,
            exact=limit.is_exact,
            rows=len(ordered),
            not_counted=num_rows - len(ordered),
            total=sum(ordered),
            smallest=_rank(ordered, 0),
            median=_rank(ordered, 50),
            p90=_rank(ordered, 90),
            p99=_rank(ordered, 99),
            largest=_rank(ordered, 100),
            over_limit=over,
        )


def _rank(ordered: list[int], percent: int) -> int:
    """The nearest rank: the smallest count that at least so many percent do not exceed; 0 when there is none."""
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)] if ordered else 0
