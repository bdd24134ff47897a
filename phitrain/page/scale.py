"""Axes: where their ticks are, and how numbers are written on them and beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A range of values on an axis; `at` gives a value's place as a share of the axis, from 0 to 1."""

    low: float
    high: float
    logarithmic: bool = False
    ticks: tuple[float, ...] = ()

    def at(self, value: float) -> float:
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def labels(self) -> list[tuple[float, str]]:
        """Each tick with its number, all written alike."""
        limit = 1e-3 if self.logarithmic or max(map(abs, self.ticks)) >= 1e-2 else math.inf
        return [(value, _power(value) if 0 < abs(value) < limit else number(value)) for value in self.ticks]


def scale_of(values: Sequence[float], *, logarithmic: bool = False) -> Scale:
    """A scale with round ticks around the values and zero, or of powers of ten around them."""
    if logarithmic:
        return _logarithmic(min(values), max(values))
    low, high = min(0.0, *values), max(0.0, *values)
    if low == high:
        high = 1.0
    every = _round_up((high - low) / 5)
    first, last = math.floor(low / every + 1e-9), math.ceil(high / every - 1e-9)
    ticks = tuple(number * every for number in range(first, last + 1))
    return Scale(low=ticks[0], high=ticks[-1], ticks=ticks)


def step_scale(first: int, last: int) -> Scale:
    """The axis of the steps: it ends with them, and its ticks are whole numbers."""
    if first == last:
        return Scale(low=first - 1, high=last + 1, ticks=(float(first),))
    every = max(1.0, _round_up((last - first) / 5))
    ticks = tuple(number * every for number in range(math.ceil(first / every), math.floor(last / every) + 1))
    return Scale(low=first, high=last, ticks=ticks)


def spans_decades(values: Sequence[float]) -> bool:
    """Whether positive values differ so much that only a logarithmic scale shows the small ones."""
    return bool(values) and min(values) > 0 and max(values) / min(values) > 100


def number(value: float, digits: int = 4) -> str:
    """A number in about so many digits: 12,345, 0.4142, 4e-05."""
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.{digits - 2}e}"
    decimals = max(0, digits - 1 - (math.floor(math.log10(abs(value))) if value else 0))
    shown = f"{value:,.{decimals}f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _power(value: float) -> str:
    return f"{value:.1e}".replace(".0e", "e")


def _logarithmic(low: float, high: float) -> Scale:
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    ticks = tuple(10.0**power for power in range(first, last + 1, max(1, math.ceil((last - first) / 6))))
    return Scale(low=1 / _round_up(1 / low), high=_round_up(high), logarithmic=True, ticks=ticks)


def _round_up(distance: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(distance))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= distance * (1 - 1e-9))
