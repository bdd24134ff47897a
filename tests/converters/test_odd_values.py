"""Whatever stands in a record in the place of what is expected, a sentence is told and no exception gets through."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from phidata.errors import PhidataError

from .sources import converted, write
from .test_bad_sources import KINDS, Kind
from .test_vqa import aokvqa, gqa, textvqa, visual_genome, vqav2

ODD: tuple[Any, ...] = (None, True, 7, -1.5, 10**30, "", "../x", "\ud800", [], {}, [None], [7], [[]], {"bytes": "x"})
NAMES = ("captions", "docvqa", "hateful_memes", "llava", "messages", "nlvr2", "sharegpt", "swift")
SETS = {make.__name__: make for make in (aokvqa, gqa, textvqa, visual_genome, vqav2)}


def variants(value: Any) -> Iterator[Any]:
    """The value with one thing in it put for another, anywhere."""
    yield from ODD
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        for variant in variants(item):
            changed = deepcopy(value)
            changed[key] = variant
            yield changed
        changed = deepcopy(value)
        del changed[key]
        yield changed


def check_all(name: str, source: Path, main: Path, settings: dict[str, Any]) -> None:
    text = main.read_text("utf-8")
    lines = main.suffix == ".jsonl" or "}\n{" in text
    value = json.loads(text.partition("\n")[0] if lines else text)
    told = []
    for variant in variants(value):
        write(main, json.dumps(variant) + "\n")
        try:
            told += [text for text in converted(name, source, **settings) if isinstance(text, str)]
        except PhidataError as error:
            told.append(str(error))
    assert told
    assert [sentence for sentence in told if "\n" in sentence or "this is a mistake in it" in sentence] == []


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.name in NAMES and ".json" in kind.main], ids=lambda kind: kind.name
)
def test_no_value_breaks_a_converter(tmp_path: Path, kind: Kind) -> None:
    kind.make(tmp_path)
    check_all(kind.name, tmp_path, tmp_path / kind.main, kind.settings)


@pytest.mark.parametrize("name", SETS)
def test_no_value_breaks_a_set_of_questions(tmp_path: Path, name: str) -> None:
    SETS[name](tmp_path)
    for main in sorted(tmp_path.glob("*.json")):
        kept = main.read_bytes()
        check_all("vqa", tmp_path, main, {})
        write(main, kept)


def test_no_value_breaks_a_problem_of_scienceqa(tmp_path: Path) -> None:
    problem = {"question": "?", "choices": ["a", "b"], "answer": 1, "hint": "h", "image": "image.png", "split": "test"}
    check_all("vqa", tmp_path, write(tmp_path / "problems.json", {"1": problem}), {})


def test_no_value_breaks_a_table(tmp_path: Path) -> None:
    main = write(tmp_path / "a.jsonl", json.dumps({"q": {"en": "?"}, "a": ["x"], "f": "x.jpg", "n": 1}) + "\n")
    given = ("user={q.en}", "answers=a", "images=f", "id=n", "metadata.n=n")
    check_all("table", tmp_path, main, {"map": given})
