"""Counting numbers and texts in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phidata.statistics import distribution as module
from phidata.statistics.distribution import Bar, Distribution, Spread
from phidata.statistics.tally import Entry, Ranking, Tally


def distribution(*values: float, per_unit: int = 1) -> Distribution:
    counted = Distribution(per_unit)
    for value in values:
        counted.add(value)
    return counted


def tally(texts: Iterable[str], capacity: int = 100) -> Tally:
    counted = Tally(capacity)
    for text in texts:
        counted.add(text)
    return counted


def test_small_numbers_are_exact() -> None:
    assert distribution(1, 1, 1, 2, 3).spread() == Spread(
        count=5,
        sum=8,
        mean=1.6,
        min=1,
        p5=1,
        p25=1,
        p50=1,
        p75=2,
        p95=3,
        p99=3,
        max=3,
        histogram=(
            Bar(start=1, below=2, count=3),
            Bar(start=2, below=3, count=1),
            Bar(start=3, below=4, count=1),
        ),
    )


def test_nothing_counted_has_no_extremes() -> None:
    assert Distribution().spread() == Spread(count=0, sum=0)


def test_seconds_keep_their_thousandths() -> None:
    spread = distribution(0.25, 1.5, per_unit=1000).spread()
    assert (spread.min, spread.max, spread.sum, spread.mean) == (0.25, 1.5, 1.75, 0.875)


def test_the_last_bar_takes_the_long_tail() -> None:
    spread = distribution(*range(1000), 5_000_000).spread()
    assert [(bar.start, bar.below, bar.count) for bar in spread.histogram] == [
        *((start, start + 100, 100) for start in range(0, 1000, 100)),
        (1000, 5_000_001, 1),
    ]


@given(st.lists(st.integers(0, 1 << 40), min_size=1), st.lists(st.integers(0, 3000)), st.integers(1, 40))
def test_quantiles_are_within_a_500th_and_all_else_is_exact(first: list[int], second: list[int], apart: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "KEPT_APART", apart)
        check(first, second, exact=len({*first, *second}) <= apart)


def check(first: list[int], second: list[int], *, exact: bool) -> None:
    merged = distribution(*first)
    merged.merge(distribution(*second))
    spread, values = merged.spread(), sorted(first + second)
    assert (spread.count, spread.sum, spread.min, spread.max) == (
        len(values),
        sum(values),
        values[0],
        values[-1],
    )
    assert sum(bar.count for bar in spread.histogram) == len(values)
    assert len(spread.histogram) <= 14
    for share, found in ((0.05, spread.p5), (0.5, spread.p50), (0.99, spread.p99)):
        true = values[max(math.ceil(share * len(values)) - 1, 0)]
        assert found is not None
        assert found == true if exact else true * (1 - 1 / 500) <= found <= true


def test_few_texts_are_counted_exactly() -> None:
    assert tally(["yes", "no", "yes", "yes", "maybe"]).ranking(2) == Ranking(
        total=5,
        distinct=3,
        exact=True,
        top=(Entry(value="yes", count=3, at_most=3), Entry(value="maybe", count=1, at_most=1)),
        others=1,
    )


def test_long_texts_that_begin_alike_are_kept_apart() -> None:
    counted = Tally()
    counted.add("x" * 300 + "a")
    counted.add("x" * 300 + "b")
    assert counted.ranking(5).top == (Entry(value="x" * 200 + "…", count=1, at_most=1),) * 2


@given(st.text("abcdefgh", max_size=200), st.text("abcdefgh", max_size=200), st.integers(1, 6))
def test_counts_stay_within_their_bounds(first: str, second: str, capacity: int) -> None:
    counted = tally(first, capacity)
    counted.merge(tally(second, capacity))
    true = Counter(first + second)
    ranking = counted.ranking(capacity)
    for entry in ranking.top:
        assert entry.count <= true[entry.value] <= entry.at_most
    assert ranking.total == len(first + second)
    assert ranking.total == sum(entry.count for entry in ranking.top) + ranking.others
    assert ranking.distinct <= len(true)
    if ranking.exact:
        assert {entry.value: entry.count for entry in ranking.top} == true


@pytest.mark.parametrize("capacity", [1, 2, 7])
def test_a_frequent_text_is_never_forgotten_for_good(capacity: int) -> None:
    counted = tally("".join("a" + chr(0x4E00 + number) for number in range(500)), capacity)
    top = counted.ranking(1).top[0]
    assert top.count <= top.at_most
    if capacity > 1:
        assert top.value == "a"
        assert top.at_most >= 500
