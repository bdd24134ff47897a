"""The order of a shuffled epoch: each row once, anywhere with the same chance, and the same for ever."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from phidata.streaming.permutation import SMALL, permutation


def chi_square(found: np.ndarray, expected: float) -> float:
    return float(((found - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("n", [0, 1, 2, 5, 1000, SMALL, SMALL + 1, 66_000, 300_000])
def test_each_number_comes_once(n: int) -> None:
    order = permutation(n, "key")(np.arange(n))
    assert (np.sort(order) == np.arange(n)).all()


def test_the_order_of_a_key_is_what_it_was() -> None:
    assert permutation(10, "key")(np.arange(10)).tolist() == [9, 7, 3, 4, 0, 8, 2, 1, 5, 6]
    assert permutation(100_000, "key")(np.arange(5)).tolist() == [18655, 38391, 67962, 33719, 10184]
    far = np.array([0, 1, 10**12 - 1])
    assert permutation(10**12, "key")(far).tolist() == [404289991158, 384779009604, 72916051400]


def test_a_part_of_the_order_is_had_without_the_rest() -> None:
    n = 100_000
    order, places = permutation(n, "key"), np.array([99_999, 7, 50_000])
    assert order(places).tolist() == order(np.arange(n))[places].tolist()


def test_all_orders_of_four_are_as_frequent() -> None:
    found = Counter(tuple(permutation(4, f"key {number}")(np.arange(4)).tolist()) for number in range(24 * 100))
    assert len(found) == 24
    assert chi_square(np.array(list(found.values())), 100) < 44  # 23 degrees of freedom: 0.5 % of fair ones are above


def test_a_place_has_every_row_with_the_same_chance() -> None:
    n, keys, bins = 70_000, 2000, 40
    places = np.array([0, 1, 35_000, 69_999])
    rows = np.array([permutation(n, f"key {key}")(places) for key in range(keys)])
    for place in range(len(places)):
        found = np.histogram(rows[:, place], bins=bins, range=(0, n))[0]
        assert chi_square(found, keys / bins) < 66  # 39 degrees of freedom, 0.5 %


@pytest.mark.parametrize("distance", [1, 2, 256, 265])
def test_rows_that_stand_together_have_nothing_in_common(distance: int) -> None:
    """265 is the square root of n, by which the network divides a number."""
    n, bins = 70_000, 20
    order = permutation(n, "key")(np.arange(n))
    pairs = np.histogram2d(order[:-distance], order[distance:], bins=bins, range=((0, n), (0, n)))[0]
    assert chi_square(pairs, (n - distance) / bins**2) < 434  # 361 degrees of freedom, 0.5 %
    assert abs(np.corrcoef(order[:-distance], order[distance:])[0, 1]) < 2.8 / n**0.5


def test_rows_that_follow_each_other_do_not_come_together() -> None:
    n = 1_000_000
    order = permutation(n, "key")(np.arange(n))
    assert np.count_nonzero(np.abs(np.diff(order)) == 1) < 8  # 2 are expected of a fair order
    assert np.count_nonzero(order == np.arange(n)) < 6  # and 1 row in its own place


def test_the_orders_of_two_keys_have_nothing_in_common() -> None:
    n, bins = 70_000, 20
    orders = [permutation(n, f"seed 0 epoch {epoch}")(np.arange(n)) for epoch in range(2)]
    pairs = np.histogram2d(*orders, bins=bins, range=((0, n), (0, n)))[0]
    assert chi_square(pairs, n / bins**2) < 434
