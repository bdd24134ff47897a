"""Charts as inline SVG. Only lines are in the SVG, which is stretched to its place; words stand beside it in HTML, so
that they keep their size on a narrow screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from phitrain.page.curves import Chart, Curve
from phitrain.page.markup import Html, el
from phitrain.page.scale import Scale, number, scale_of, spans_decades, step_scale

WIDTH, HEIGHT = 1000, 400  # of the SVG's own units, whatever its size on the screen

Kind = Literal["skipped", "spike", "resumed"]


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Steps that every chart marks: without an update, with a spike of the loss, the first after a resume."""

    skipped: list[int]
    spike: list[int]
    resumed: list[int]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A chart as markup, and its points as the page's script takes them."""

    figure: Html
    points: dict[str, Any]


def draw(chart: Chart, marks: Marks) -> Drawn:
    """One chart, with the last value of each curve in its head."""
    x, y = _scales(chart)
    head = el(
        "figcaption",
        "",
        el("span", "title", chart.title),
        *(_key(curve, chart.unit) for curve in chart.curves),
    )
    plot = el("div", "plot", _svg(chart, x, y, marks), el("div", "cursor", el("span")))
    rows = el("div", "y", *(_label("bottom", y.at(value), text) for value, text in y.labels()))
    columns = el("div", "x", *(_label("left", x.at(value), text) for value, text in x.labels()))
    figure = el("figure", f"chart columns-{chart.columns}", head, rows, plot, columns, attributes={"tabindex": "0"})
    return Drawn(figure=figure, points=_points(chart, x, y))


def legend(marks: Marks) -> Html:
    """What the marks mean, those that there are, and how the charts are read."""
    named: tuple[tuple[Kind, list[int], str], ...] = (
        ("skipped", marks.skipped, "step skipped"),
        ("spike", marks.spike, "loss spike"),
        ("resumed", marks.resumed, "resumed from a checkpoint"),
    )
    shown = [el("span", f"key {kind}", el("i"), el("span", "", said)) for kind, steps, said in named if steps]
    hint = el(
        "span", "hint", "The numbers are those of the last step; point at a chart, or use the arrow keys, for another."
    )
    return el("p", "legend", *shown, hint)


def amount(value: float, unit: str) -> str:
    """A value with its unit: 41 %, 12,345/s."""
    return f"{number(value)}{unit}" if unit.startswith("/") else f"{number(value)} {unit}".rstrip()


def _scales(chart: Chart) -> tuple[Scale, Scale]:
    values = [value for curve in chart.curves for value in curve.known]
    steps = [step for curve in chart.curves for step in curve.steps]
    logarithmic = chart.may_be_logarithmic and spans_decades(values)
    return step_scale(min(steps), max(steps)), scale_of(values, logarithmic=logarithmic)


def _points(chart: Chart, x: Scale, y: Scale) -> dict[str, Any]:
    return {
        "x": [x.low, x.high],
        "y": [y.low, y.high],
        "logarithmic": y.logarithmic,
        "unit": chart.unit,
        "curves": [{"steps": curve.steps, "values": [*map(_rounded, curve.values)]} for curve in chart.curves],
    }


def _svg(chart: Chart, x: Scale, y: Scale, marks: Marks) -> Html:
    grid = "".join(f"M0 {_y(y, value)}H{WIDTH}" for value in y.ticks)
    parts = [_path("grid", grid)]
    for kind in ("resumed", "skipped", "spike"):
        columns = sorted({_x(x, step) for step in getattr(marks, kind) if x.low <= step <= x.high})
        if columns:
            parts.append(_path(f"mark {kind}", "".join(f"M{column} 0V{HEIGHT}" for column in columns)))
    parts += [_path(f"curve {curve.look}", _line(curve, x, y)) for curve in chart.curves]
    said = ", ".join(
        f"{curve.name} from {amount(curve.known[0], chart.unit)} to {amount(curve.known[-1], chart.unit)}".strip()
        for curve in chart.curves
    )
    attributes = {
        "viewBox": f"0 0 {WIDTH} {HEIGHT}",
        "preserveAspectRatio": "none",
        "role": "img",
        "aria-label": f"{chart.title}: {said}",
    }
    return el("svg", "", *parts, attributes=attributes)


def _line(curve: Curve, x: Scale, y: Scale) -> str:
    """The path of a curve, broken where it has no value; a value alone between two gaps is a dot."""
    path, pen_is_down = [], False
    for step, value in zip(curve.steps, curve.values, strict=True):
        if value is not None:
            # The line of no length after a move is what is seen of a point without neighbours.
            path.append(f"L{_x(x, step)} {_y(y, value)}" if pen_is_down else f"M{_x(x, step)} {_y(y, value)}h0")
        pen_is_down = value is not None
    return "".join(path)


def _path(classes: str, line: str) -> Html:
    return el("path", classes, attributes={"d": line})


def _x(scale: Scale, step: float) -> str:
    return f"{WIDTH * scale.at(step):.1f}".removesuffix(".0")


def _y(scale: Scale, value: float) -> str:
    return f"{HEIGHT * (1 - scale.at(value)):.1f}".removesuffix(".0")


def _label(edge: str, share: float, text: str) -> Html:
    return el("span", "", text, attributes={"style": f"{edge}:{100 * share:.2f}%"})


def _key(curve: Curve, unit: str) -> Html:
    name = el("span", "", f"{curve.name} ") if curve.name else Html()
    return el("span", f"key {curve.look}", el("i"), name, el("b", "", amount(curve.known[-1], unit)))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
