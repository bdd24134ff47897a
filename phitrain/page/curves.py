"""From the lines of a log to the curves of a page, each of at most a thousand points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from phitrain.log import Line

MOST_POINTS = 1000
PARTS = ("llm", "projector", "vision")
SMOOTH_FROM = 20  # steps; a shorter run has no line to smooth
MOST_SMOOTH = 200  # steps that a smoothed value is the mean of

Value = float | None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A line: `values` at `steps`, None where there is none. `look` is the class that colours it; a curve that is alone
    needs no name."""

    name: str
    look: str
    steps: list[int]
    values: list[Value]

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves on common axes, `columns` of 6 wide."""

    title: str
    curves: list[Curve]
    unit: str = ""
    columns: int = 2
    may_be_logarithmic: bool = False


def charts_of(log: Sequence[Line]) -> list[Chart]:
    """The charts of a run; curves and charts without a single value are left out."""
    used = Chart(title="FLOPs used", unit="%", curves=_known(_used(log)))
    half = 2 if used.curves else 3  # so that a row is full
    memory = [_curve(log, "peak_memory_bytes", 1 / 2**30)]
    found = [
        Chart(title="Loss", curves=_loss(log), columns=6, may_be_logarithmic=True),
        Chart(title="Gradient norm", curves=_parts(log, "grad_norm", "grad_norms"), columns=3, may_be_logarithmic=True),
        Chart(title="Learning rate", curves=_parts(log, "lr", "lrs"), columns=3),
        Chart(title="Tokens", unit="/s", curves=[_curve(log, "tokens_per_s")]),
        Chart(title="Images", unit="/s", curves=[_curve(log, "images_per_s")]),
        Chart(title="Samples", unit="/s", curves=[_curve(log, "samples_per_s")]),
        Chart(title="Waiting for data", unit="%", curves=[_curve(log, "data_wait_share", 100)], columns=half),
        Chart(title="Peak memory", unit="GiB", curves=memory, columns=half),
        used,
    ]
    return [replace(chart, curves=curves) for chart in found if (curves := _known(chart.curves))]


def smoothed(values: Sequence[Value], window: int) -> list[Value]:
    """The mean of the values around each, those nearer counting more; of fewer at the ends.

    The mean of means over half the window: a single high value is a small hill, not a plateau.
    """
    return _means(_means(values, window // 2), window // 2)


def thinned(steps: Sequence[int], values: Sequence[Value], most: int = MOST_POINTS) -> tuple[list[int], list[Value]]:
    """At most so many of the points: the first, the last, and the highest and lowest of each stretch between them."""
    if len(steps) <= most:
        return list(steps), list(values)
    num_stretches = most // 2 - 1
    edges = [1 + at * (len(steps) - 2) // num_stretches for at in range(num_stretches + 1)]
    kept = [0]
    for start, end in pairwise(edges):
        known = sorted((value, at) for at in range(start, end) if (value := values[at]) is not None)
        kept += sorted({known[0][1], known[-1][1]}) if known else [start]
    kept.append(len(steps) - 1)
    return [steps[at] for at in kept], [values[at] for at in kept]


def _means(values: Sequence[Value], window: int) -> list[Value]:
    half = window // 2
    sums = list(accumulate((value or 0.0 for value in values), initial=0.0))
    counts = list(accumulate((int(value is not None) for value in values), initial=0))
    smooth: list[Value] = []
    for at in range(len(values)):
        first, last = max(0, at - half), min(len(values), at + half + 1)
        count = counts[last] - counts[first]
        smooth.append((sums[last] - sums[first]) / count if count else None)
    return smooth


def _known(curves: Sequence[Curve]) -> list[Curve]:
    return [curve for curve in curves if curve.known]


def _loss(log: Sequence[Line]) -> list[Curve]:
    each = _curve(log, "loss")
    if len(log) < SMOOTH_FROM:
        return [each]
    steps, values = thinned(*_points(log, "loss", smooth=min(max(5, len(log) // 25), MOST_SMOOTH)))
    return [
        replace(each, name="each step", look="pale"),
        Curve(name="smoothed", look="main", steps=steps, values=values),
    ]


def _used(log: Sequence[Line]) -> list[Curve]:
    return [_curve(log, "mfu", 100, name="MFU"), _curve(log, "hfu", 100, name="HFU", look="hfu")]


def _parts(log: Sequence[Line], total: str, by_part: str) -> list[Curve]:
    """One curve a part of the model, where the log tells them apart; of norms the whole one as well."""
    names = sorted({part for line in log for part in line.get(by_part) or {}}, key=_rank)
    parts = [_curve(log, part, inside=by_part, look=part, name=part) for part in names]
    if len(parts) > 1 and by_part == "grad_norms":
        return [_curve(log, total, name="all", look="pale"), *parts]
    return parts or [_curve(log, total)]


def _rank(part: str) -> tuple[int, str]:
    return (PARTS.index(part) if part in PARTS else len(PARTS), part)


def _curve(
    log: Sequence[Line], field: str, times: float = 1, *, name: str = "", inside: str = "", look: str = "main"
) -> Curve:
    steps, values = thinned(*_points(log, field, times, inside=inside))
    return Curve(name=name, look=look, steps=steps, values=values)


def _points(
    log: Sequence[Line], field: str, times: float = 1, *, inside: str = "", smooth: int = 0
) -> tuple[list[int], list[Value]]:
    found = [((line.get(inside) or {}) if inside else line).get(field) for line in log]
    values: list[Value] = [None if value is None else value * times for value in found]
    return [line["step"] for line in log], smoothed(values, smooth) if smooth else values
