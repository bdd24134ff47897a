"""How sure a score is: bootstrap intervals of means, and the exact test for two models on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2_000
SEED = 42
AT_ONCE = 4_000_000  # numbers that are drawn together: 32 MB


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with the ends of its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class McNemar:
    """Questions that were answered rightly by both, by one only, by neither; `p` of the difference being chance."""

    both: int
    only_before: int
    only_after: int
    neither: int
    p: float


def mean_interval(scores: Sequence[float], rows: Sequence[int] | Sequence[str]) -> Interval:
    """The mean of `scores` and its 95 % percentile interval over 2000 bootstrap samples; the same at every call.

    `rows` names the row of each score. Whole rows are drawn, with replacement (Davison and Hinkley 1997, "Bootstrap
    Methods and their Application", section 3.8): the turns of one conversation are not independent of each other.
    All three numbers are 0 where there is no score, and equal where there is one row.
    """
    if not scores:
        return Interval(mean=0.0, low=0.0, high=0.0)
    _, cluster = np.unique(np.asarray(rows), return_inverse=True)
    sums = np.bincount(cluster, weights=np.asarray(scores, dtype=np.float64)).astype(np.float64)
    low, high = np.quantile(_resampled_means(sums, np.bincount(cluster)), (0.025, 0.975))
    return Interval(mean=sum(scores) / len(scores), low=float(low), high=float(high))


def mcnemar(before: Sequence[bool], after: Sequence[bool]) -> McNemar:
    """The exact two-sided test (McNemar 1947, with the binomial distribution in place of chi-squared).

    `before` and `after` say of the same questions, in the same order, whether they were answered rightly. `p` is twice
    the chance of at most min(only_before, only_after) heads among as many throws as there are questions on which the
    two differ, and at most 1.
    """
    assert len(before) == len(after)
    counts = {(one, other): 0 for one in (True, False) for other in (True, False)}
    for pair in zip(before, after, strict=True):
        counts[pair] += 1
    only_before, only_after = counts[True, False], counts[False, True]
    return McNemar(
        both=counts[True, True],
        only_before=only_before,
        only_after=only_after,
        neither=counts[False, False],
        p=_two_sided(min(only_before, only_after), only_before + only_after),
    )


def _resampled_means(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(RESAMPLES,) the mean of all scores of as many rows as there are, drawn with replacement."""
    random = np.random.Generator(np.random.PCG64(SEED))
    num_rows, means = len(sums), np.empty(RESAMPLES)
    step = max(1, AT_ONCE // num_rows)
    for first in range(0, RESAMPLES, step):
        drawn = random.integers(num_rows, size=(min(step, RESAMPLES - first), num_rows))
        means[first : first + step] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means


def _two_sided(fewer: int, throws: int) -> float:
    """Twice the chance of at most `fewer` heads in so many throws of a fair coin, in whole numbers up to the end."""
    ways = total = 1
    sides: int = 2**throws
    for heads in range(fewer):
        ways = ways * (throws - heads) // (heads + 1)
        total += ways
    return min(1.0, 2 * total / sides)
