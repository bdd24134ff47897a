"""How several data sets alternate, so that each has its share of every beginning of an epoch.

Of a data set with the share w, row j (from 0) has to stand at one of the places floor(j / w) … ceil((j + 1) / w) - 1.
Where all rows do, the number of its rows among the first t differs from w * t by less than one, for every t. That such
an order exists for any shares, and that taking the row whose last place comes first finds it, is the theorem on
proportionate progress (Baruah, Cohen, Plaxton, Varvel, Algorithmica 15, 1996). A random one among these orders is made
by changing neighbours that may stand at each other's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from phidata.streaming.permutation import Numbers, random_words

MAX_PERIOD = 10_000
NUM_PLACES = 4096  # at least so many are arranged before the arrangement comes again
SWEEPS = 32  # over all pairs of neighbours


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """Which data set each of some places belongs to, and how many rows of it stand at the places before; `counts` has
    the rows of each data set at all of them. Then the pattern begins anew."""

    sources: Numbers
    nth: Numbers
    counts: Numbers

    def find(self, places: Numbers) -> tuple[Numbers, Numbers]:
        """For places from 0, without end: the data set of each, and how many rows it had at the places before."""
        times, places = np.divmod(places, len(self.sources))
        sources = self.sources[places]
        return sources, times * self.counts[sources] + self.nth[places]


def whole_shares(weights: Sequence[float]) -> tuple[int, ...]:
    """The weights, all greater than 0, as the smallest whole numbers in the same proportion.

    Where these add up to more than 10 000 they are rounded to ten-thousandths, to one at least.
    """
    exact = [Fraction(str(weight)) for weight in weights]
    shares = _smallest([int(weight * lcm(*(weight.denominator for weight in exact))) for weight in exact])
    if sum(shares) <= MAX_PERIOD:
        return shares
    wished = [Fraction(share * MAX_PERIOD, sum(shares)) for share in shares]
    rounded = [max(1, int(share)) for share in wished]
    by_rest = sorted(range(len(shares)), key=lambda number: (rounded[number] - wished[number], number))
    for number in by_rest[: max(0, MAX_PERIOD - sum(rounded))]:
        rounded[number] += 1
    return _smallest(rounded)


def pattern(shares: Sequence[int], key: str | None) -> Pattern:
    """The order in which data sets with these whole shares alternate: with a key a random one, else always the same."""
    period = sum(shares)
    once = _earliest_last_place_first(shares)
    times = 1 if key is None else max(1, NUM_PLACES // period)
    sources = np.tile(once, times)
    if key is not None:
        sources = _changed(sources, shares, key)
    return Pattern(sources=sources, nth=_nth(sources, len(shares)), counts=np.array(shares) * times)


def _smallest(shares: Sequence[int]) -> tuple[int, ...]:
    return tuple(share // gcd(*shares) for share in shares)


def _earliest_last_place_first(shares: Sequence[int]) -> Numbers:
    """One period: at each place, of the rows that may stand there, the one whose last place comes first."""
    period = sum(shares)
    taken = [0] * len(shares)
    order = []
    for place in range(period):
        may = [number for number, share in enumerate(shares) if taken[number] * period // share <= place]
        chosen = min(may, key=lambda number: -(-(taken[number] + 1) * period // shares[number]))
        taken[chosen] += 1
        order.append(chosen)
    return np.array(order)


def _changed(sources: Numbers, shares: Sequence[int], key: str) -> Numbers:
    """The same rows with neighbours changed at random, none of them led out of its places."""
    period, own = sum(shares), np.array(shares)[sources]
    nth = _nth(sources, len(shares))
    first, end = nth * period // own, -(-(nth + 1) * period // own)
    order = np.arange(len(sources))
    coins = random_words(SWEEPS * len(order), key).reshape(SWEEPS, -1) >> np.uint64(63)
    for sweep in range(SWEEPS):
        place = np.arange(sweep % 2, len(order) - 1, 2)
        left, right = order[place], order[place + 1]
        change = (end[left] > place + 1) & (first[right] <= place) & (coins[sweep, place] == 1)
        order[place] = np.where(change, right, left)
        order[place + 1] = np.where(change, left, right)
    return sources[order]


def _nth(sources: Numbers, num_sources: int) -> Numbers:
    """For each place, how many rows of its data set stand before it."""
    found = np.empty_like(sources)
    for number in range(num_sources):
        own = sources == number
        found[own] = np.arange(np.count_nonzero(own))
    return found
