"""Data sets that are mixed have their shares of every beginning of an epoch, within one sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phidata.streaming.interleaving import Pattern, pattern, whole_shares


def furthest(found: Pattern, shares: tuple[int, ...]) -> float:
    """By how many rows a data set was ever before or behind its share."""
    places = np.arange(1, len(found.sources) + 1)
    given = np.array([(found.sources == number).cumsum() for number in range(len(shares))])
    wished = np.outer(shares, places) / sum(shares)
    return float(np.abs(given - wished).max())


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ([0.7, 0.3], (7, 3)),
        ([1, 1, 1], (1, 1, 1)),
        ([0.1, 0.2], (1, 2)),
        ([30, 70], (3, 7)),
        ([5], (1,)),
        ([0.33333, 0.66667], (3333, 6667)),
        ([1e-9, 1], (1, 9999)),
    ],
)
def test_shares_are_the_smallest_whole_numbers(weights: list[float], shares: tuple[int, ...]) -> None:
    assert whole_shares(weights) == shares


def test_three_to_one_alternates_so() -> None:
    assert pattern((3, 1), None).sources.tolist() == [0, 0, 0, 1]
    assert pattern((3, 1), "key").sources[:12].tolist() == [0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.integers(0, 9))
def test_shares_are_kept_within_one_at_every_place(weights: list[int], key: int) -> None:
    shares = whole_shares([float(weight) for weight in weights])
    for found in (pattern(shares, None), pattern(shares, str(key))):
        assert furthest(found, shares) < 1
        assert found.counts.tolist() == np.bincount(found.sources).tolist()


def test_shares_are_kept_where_they_are_far_apart() -> None:
    shares = whole_shares([0.9876, 0.0123, 0.0001])
    assert furthest(pattern(shares, None), shares) < 1
    assert furthest(pattern(shares, "key"), shares) < 1


def test_the_pattern_goes_on_without_an_end() -> None:
    found = pattern((2, 1), "key")
    far = 10**15 * len(found.sources)
    sources, nth = found.find(np.array([0, 1, 2, far, far + 1, far + 2]))
    assert sources[:3].tolist() == sources[3:].tolist()
    assert (nth[3:] - nth[:3]).tolist() == (found.counts[sources[:3]] * 10**15).tolist()


def test_every_rank_sees_every_data_set() -> None:
    """Ten ranks take every tenth sample, and the shares repeat after ten."""
    sources = pattern((7, 3), "key").sources
    of_second = [np.count_nonzero(sources[rank::10]) / len(sources[rank::10]) for rank in range(10)]
    assert 0.2 < min(of_second) < max(of_second) < 0.45
