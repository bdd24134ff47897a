"""Some of the questions with their pictures, and what the model answered before and after."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

from phidata.errors import PhidataError
from phitrain.page.markup import Html, data, el, joined
from phitrain.page.scores import when

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_SAMPLES = 12  # a split
MOST_IMAGES = 8  # a sample
SIDES = (360, 160)  # the longest side of a thumbnail in pixels; the second where a sample has more than two images
MOST_CHARACTERS = 2000  # of a text
IMAGE_MARK = re.compile(r"<\|image_\d+\|>\n?")

Images = Callable[[str, str, int], "list[Image]"]
"""The images of a split's row up to a turn, by id; raises PhidataError where they are not to be had."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A turn that was asked: its row in the last evaluation, and in the first if that is another."""

    split: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any]


def choose_samples(evaluations: Sequence[Mapping[str, Any]], split: str, most: int = MOST_SAMPLES) -> list[Sample]:
    """First the answers whose verdict has changed, lost and won in turns, then the wrong ones, then the right ones."""
    metric = evaluations[-1]["metrics"][0]
    earlier = evaluations[0]["splits"].get(split, {"rows": []})["rows"] if len(evaluations) > 1 else []
    by_turn = {(row["id"], row["turn"]): row for row in earlier}
    kinds: dict[tuple[bool, bool], list[Sample]] = {}
    for row in evaluations[-1]["splits"][split]["rows"]:
        before = by_turn.get((row["id"], row["turn"]))
        now = is_right(row, metric)
        kind = (now if before is None else is_right(before, metric), now)
        kinds.setdefault(kind, []).append(Sample(split=split, before=before, after=row))
    lost, won = kinds.get((True, False), []), kinds.get((False, True), [])
    wrong, right = kinds.get((False, False), []), kinds.get((True, True), [])
    changed = [sample for pair in zip_longest(lost, won) for sample in pair if sample is not None]
    return list(chain(changed, wrong, right))[:most]


def is_right(row: Mapping[str, Any], metric: str) -> bool:
    """Whether an answer counts as correct: half of the score at least."""
    return bool(row["scores"][metric] >= 0.5)


def sample_cards(evaluations: Sequence[Mapping[str, Any]], split: str, images: Images) -> Html:
    """The samples of a split; above them why there are no pictures, where there are none."""
    labels = (when(evaluations[0]), when(evaluations[-1]) if len(evaluations) > 1 else "answer")
    problems: dict[str, None] = {}
    cards = []
    for sample in choose_samples(evaluations, split):
        try:
            pictures = images(split, sample.after["id"], sample.after["turn"])
        except PhidataError as error:
            problems[str(error)] = None
            pictures = []
        cards.append(_card(sample, labels, evaluations[-1]["metrics"][0], pictures))
    return joined(*(data("p", "missing", said) for said in problems), el("div", "samples", *cards))


def _card(sample: Sample, labels: tuple[str, str], metric: str, images: Sequence[Image]) -> Html:
    row = sample.after
    turn = f" turn {row['turn']}" if row["turn"] > 1 else ""
    answers = joined(*_between(", ", (data("span", "", _cut(answer)) for answer in row["answers"])))
    lines = [el("dt", "", "accepted"), el("dd", "", answers)]
    for label, asked in zip(labels, (sample.before, row), strict=True):
        if asked is not None:
            lines += _answer(label, asked, metric)
    return el(
        "article",
        "sample",
        _pictures(images),
        data("h4", "", f"{row['id']}{turn}"),
        data("p", "question", _cut(IMAGE_MARK.sub("", row["prompt"]))),
        el("dl", "", *lines),
    )


def _answer(label: str, row: Mapping[str, Any], metric: str) -> list[Html]:
    score = row["scores"][metric]
    verdict = "right" if is_right(row, metric) else "wrong"
    said = verdict if score in (0, 1) else f"{verdict}, {score:.2f}"
    answer = data("span", "", _cut(row["prediction"])) if row["prediction"] else el("em", "", "nothing")
    return [el("dt", "", label), el("dd", verdict, el("span", "verdict", said), answer)]


def _pictures(images: Sequence[Image]) -> Html:
    if not images:
        return Html()
    are_many = len(images) > 2
    shown = [_thumbnail(image, SIDES[are_many], number) for number, image in enumerate(images[:MOST_IMAGES], 1)]
    more = [el("span", "more", f"and {len(images) - MOST_IMAGES} more")] if len(images) > MOST_IMAGES else []
    return el("div", "pictures many" if are_many else "pictures", *shown, *more)


def _thumbnail(image: Image, side: int, number: int) -> Html:
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=70, optimize=True)
    attributes = {
        "src": f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}",
        "alt": f"image {number}",
        "width": str(small.width),
        "height": str(small.height),
    }
    return el("img", "", attributes=attributes)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def _between(separator: str, parts: Iterable[Html]) -> list[str]:
    return [piece for number, part in enumerate(parts) for piece in ((separator, part) if number else (part,))]
