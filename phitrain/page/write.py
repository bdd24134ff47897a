"""The page, put together and written whole."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from phitrain.log import LOG, Line
from phitrain.output import replacing
from phitrain.page.curves import charts_of
from phitrain.page.drawing import Drawn, Marks, draw, legend
from phitrain.page.markup import UNSEEN, Html, data, el, joined
from phitrain.page.samples import Images, sample_cards
from phitrain.page.scale import number
from phitrain.page.scores import all_scores, differences, score_chart
from phitrain.page.settings import pairs, settings
from phitrain.page.summary import header

MOST_STEPS = 100  # that are named for a skip or a spike
MOST_IDS = 16  # of a step


def write_page(
    path: Path,
    *,
    config: Mapping[str, Mapping[str, Any]],
    log: Sequence[Line],
    evaluations: Sequence[Mapping[str, Any]],
    comparison: Mapping[str, Any],
    images: Images,
    environment: Mapping[str, Any],
) -> None:
    """Write one HTML file that shows a run, finished or not; a page of that name is replaced when the new one is whole.

    `log`: the lines of the run's log.jsonl. `evaluations`: as `phitrain.evaluate` gives them, with their step, in its
    order; `comparison`: of the last with the first, empty where there are not two. `environment`: names and values.
    """
    marks = _marks(log)
    curves = [draw(chart, marks) for chart in charts_of(log)]
    chart = score_chart(evaluations)
    scores = [draw(chart, marks)] if chart else []
    parts = [
        header(path.absolute().parent.name, config, log, evaluations),
        _section("Curves", legend(marks), _grid(curves)) if curves else Html(),
        _flagged(log),
        _evaluations(evaluations, comparison, scores),
        *(_samples(evaluations, split, images) for split in (evaluations[-1]["splits"] if evaluations else ())),
        _section("Configuration", settings(config)),
        _section("Environment", pairs(environment)) if environment else Html(),
    ]
    title = UNSEEN.sub("", f"{path.absolute().parent.name} · phitrain")
    with replacing(path) as file:
        file.write(_document(title, joined(*parts), [drawn.points for drawn in (*curves, *scores)]))


def _marks(lines: Sequence[Line]) -> Marks:
    named = {kind: [line["step"] for line in lines if line[kind]] for kind in ("skipped", "spike", "resumed")}
    return Marks(**named)


def _grid(charts: Sequence[Drawn]) -> Html:
    return el("div", "charts", *(drawn.figure for drawn in charts))


def _flagged(lines: Sequence[Line]) -> Html:
    """The steps that were skipped or have a spike, with the rows that they were of."""
    flagged = [line for line in lines if line["skipped"] or line["spike"]]
    if not flagged:
        return Html()
    more = len(flagged) - MOST_STEPS
    note = el("p", "note", f"and {more:,} more in {LOG}") if more > 0 else Html()
    return _section("Steps to look at", el("div", "flagged", *map(_flag, flagged[:MOST_STEPS])), note)


def _flag(line: Line) -> Html:
    ids, loss = line["samples"], line["loss"]
    what = "skipped, its gradient was not finite" if line["skipped"] else "loss spike"
    said = f"{what} · loss {'not finite' if loss is None else number(loss)}"
    rest = f" and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
    rows = el("p", "", data("span", "ids", "  ".join(ids[:MOST_IDS])), rest)
    return el("article", "", el("p", "", el("b", "", f"step {line['step']:,}"), f" · {said}"), rows)


def _evaluations(
    evaluations: Sequence[Mapping[str, Any]], comparison: Mapping[str, Any], charts: Sequence[Drawn]
) -> Html:
    if not evaluations:
        return Html()
    parts = [_grid(charts)] if charts else []
    if comparison:
        parts.append(differences(comparison, evaluations[0], evaluations[-1]))
    if len(evaluations) != 2 or not comparison:
        parts.append(all_scores(evaluations))
    words = "95 % intervals by bootstrap over rows. "
    if comparison:
        words += "An answer counts as right from half of its score on: won are those that became right, lost those that"
        words += " became wrong, and p is the chance of so uneven a change, or a more uneven one, if training changed"
        words += " nothing."
    return _section("Evaluation", *parts, el("p", "note", words))


def _samples(evaluations: Sequence[Mapping[str, Any]], split: str, images: Images) -> Html:
    return _section(f"Samples of {split}", sample_cards(evaluations, split, images))


def _section(title: str, *children: Html) -> Html:
    return el("section", "", data("h2", "", title), *children)


def _document(title: str, body: Html, points: Any) -> str:
    place = files("phitrain.page")
    style, script, page = ((place / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js", "html"))
    # In a script element only `</script` and `<!--` end it; JSON may write "<" otherwise.
    raw = json.dumps(points, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    allowed = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'"
    for name, value in {"policy": policy, "title": escape(title), "style": style, "script": script}.items():
        page = page.replace("{{" + name + "}}", value)
    # What comes from the run is put in last, so that nothing in it is taken for a place to fill.
    first, rest = page.split("{{body}}")
    between, last = rest.split("{{points}}")
    return "".join((first, body, between, raw, last))
