"""Many numbers in little memory: count, sum and extremes exact, quantiles and histogram nearly so."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import msgspec

KEPT_APART = 8192  # different numbers; when there are more, larger ones keep their 10 leading bits
KEPT_BITS = 10
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MAX_BARS = 12
STEPS = (1, 2, 5)


class Bar(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from"}):
    """How many values lie from `from` (included) up to `below` (excluded)."""

    start: float
    below: float
    count: int


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How some numbers are spread. `count`, `sum`, `mean`, `min` and `max` are exact. Quantiles (`p5` … `p99`) and
    the histogram are exact as long as there are at most 8192 different numbers, and after that within 0.2 %. Without
    any number all but `count` and `sum` are null.
    """

    count: int
    sum: float
    mean: float | None = None
    min: float | None = None
    p5: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None
    histogram: tuple[Bar, ...] = ()


class Distribution:
    """Counts numbers from 0 up, in steps of `1 / per_unit`; at most some 28 000 are kept apart."""

    def __init__(self, per_unit: int = 1) -> None:
        self._per_unit = per_unit
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._exact = True
        self._sum = 0
        self._min = 1 << 63
        self._max = 0

    def add(self, value: float, times: int = 1) -> None:
        """Count a number `times` times."""
        step = round(value * self._per_unit)
        self._sum += step * times
        self._min = min(self._min, step)
        self._max = max(self._max, step)
        self._keep(step, times)

    def merge(self, other: Distribution) -> None:
        """Count all that the other one has counted."""
        assert other._per_unit == self._per_unit
        for step, count in other._counts.items():
            self._keep(step, count)
        self._sum += other._sum
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)

    def spread(self) -> Spread:
        """What has been counted."""
        count = sum(self._counts.values())
        if not count:
            return Spread(count=0, sum=0)
        steps = sorted(self._counts)
        quantiles = self._quantiles(steps, count)
        return Spread(
            count=count,
            sum=self._value(self._sum),
            mean=round(self._sum / count / self._per_unit, 4),
            min=self._value(self._min),
            p5=self._value(quantiles[0]),
            p25=self._value(quantiles[1]),
            p50=self._value(quantiles[2]),
            p75=self._value(quantiles[3]),
            p95=self._value(quantiles[4]),
            p99=self._value(quantiles[5]),
            max=self._value(self._max),
            histogram=self._histogram(steps, quantiles[-1]),
        )

    def _keep(self, step: int, times: int) -> None:
        self._counts[step if self._exact else _rounded(step)] += times
        if self._exact and len(self._counts) > KEPT_APART:
            self._exact = False
            counts, self._counts = self._counts, defaultdict(int)
            for known, count in counts.items():
                self._counts[_rounded(known)] += count

    def _value(self, step: int) -> float:
        return step if self._per_unit == 1 else step / self._per_unit

    def _quantiles(self, steps: list[int], count: int) -> list[int]:
        """The smallest value that at least that share of all values does not exceed."""
        found: list[int] = []
        seen = 0
        for step in steps:
            seen += self._counts[step]
            while len(found) < len(QUANTILES) and seen >= QUANTILES[len(found)] * count:
                found.append(max(step, self._min))
        return found

    def _histogram(self, steps: list[int], p99: int) -> tuple[Bar, ...]:
        """A bar a value where there are few; else bars of one width, the last of which takes the longest tail in."""
        if len(steps) <= MAX_BARS and self._exact:
            return tuple(
                Bar(start=self._value(step), below=self._value(step + 1), count=self._counts[step]) for step in steps
            )
        kept_apart = 1 if self._exact else 1 << max(p99.bit_length() - KEPT_BITS, 0)
        width = _nice_width(max((p99 - self._min) / (MAX_BARS - 1), kept_apart))
        first = self._min // width
        counts = [0] * (min(p99 // width - first + 1, MAX_BARS) + (p99 // width < self._max // width))
        for step in steps:
            counts[min(max(step // width - first, 0), len(counts) - 1)] += self._counts[step]
        edges = [self._value((first + number) * width) for number in range(len(counts))]
        edges.append(max(self._value(self._max + 1), self._value((first + len(counts)) * width)))
        return tuple(
            Bar(start=start, below=below, count=count)
            for (start, below), count in zip(pairwise(edges), counts, strict=True)
        )


def _rounded(step: int) -> int:
    """Down to the nearest number with so few bits."""
    shift = max(step.bit_length() - KEPT_BITS, 0)
    return step >> shift << shift


def _nice_width(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, … that is not below `least`."""
    power = 1
    while True:
        for step in STEPS:
            if step * power >= least:
                return step * power
        power *= 10
