"""Scores before, during and after training, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from phitrain.page.curves import Chart, Curve
from phitrain.page.markup import Html, el, joined, table

Evaluation = Mapping[str, Any]


class Score(NamedTuple):
    """A mean score with the interval it lies in with 95 % confidence."""

    mean: float
    low: float
    high: float


def named_score(evaluation: Evaluation, split: str, metric: str) -> Score | None:
    """A score of an evaluation, if it has it."""
    found = evaluation["splits"].get(split, {}).get("scores", {}).get(metric)
    return None if found is None else Score(found["mean"], found["low"], found["high"])


def score_chart(evaluations: Sequence[Evaluation]) -> Chart | None:
    """The first metric of each split over the steps, where there are at least three evaluations."""
    if len(evaluations) < 3:
        return None
    metric, steps = evaluations[-1]["metrics"][0], [evaluation["step"] for evaluation in evaluations]
    curves = []
    for number, split in enumerate(evaluations[-1]["splits"]):
        found = [named_score(evaluation, split, metric) for evaluation in evaluations]
        values = [None if score is None else score.mean for score in found]
        curves.append(Curve(name=split, look=f"split-{number % 4}", steps=steps, values=values))
    return Chart(title=metric, curves=curves, columns=6)


def all_scores(evaluations: Sequence[Evaluation]) -> Html:
    """One row an evaluation, one column a split and metric."""
    columns = [(split, metric) for split in evaluations[-1]["splits"] for metric in evaluations[-1]["metrics"]]
    rows = [
        [when(evaluation), *(_score(named_score(evaluation, *column)) for column in columns)]
        for evaluation in evaluations
    ]
    return table("scores", ["evaluated", *(f"{split} {metric}" for split, metric in columns)], rows)


def differences(comparison: Mapping[str, Any], before: Evaluation, after: Evaluation) -> Html:
    """What training changed, per split and metric, as `phitrain.results.compare` says it."""
    rows = []
    for split, compared in comparison.items():
        for metric, found in compared["scores"].items():
            scores = [_score(named_score(evaluation, split, metric)) for evaluation in (before, after)]
            turned = f"{found['only_after']} won, {found['only_before']} lost"
            rows.append([split, metric, *scores, _signed(Score(**found["difference"])), turned, f"{found['p']:.2g}"])
    head = ["split", "metric", when(before), when(after), "difference", "answers", "McNemar p"]
    return table("scores", head, rows)


def when(evaluation: Evaluation) -> str:
    """Before training, or after so many steps."""
    return "before" if evaluation["step"] == 0 else f"step {evaluation['step']:,}"


def _score(score: Score | None) -> Html:
    if score is None:
        return Html("–")
    return joined(el("b", "", f"{score.mean:.3f}"), el("span", "interval", f" {score.low:.3f} – {score.high:.3f}"))


def _signed(score: Score) -> Html:
    look = "better" if score.low > 0 else "worse" if score.high < 0 else ""
    interval = el("span", "interval", f" {score.low:+.3f} – {score.high:+.3f}")
    return joined(el("b", look, f"{score.mean:+.3f}"), interval)
