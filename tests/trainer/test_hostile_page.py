"""report.html of a run with scripts in every text that it shows, in a headless Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import phidata
from phitrain.config import config_from
from phitrain.page import write_report_page
from phitrain.results import split_result
from tests.hostile.payloads import PAYLOADS
from tests.previewing.browser import Browser, find_browser, running_browser

from .conftest import turn, write_data
from .test_page import line

WRITTEN = {"\0": "U+0000", "\x1b": "U+001B", "\u2028": "U+2028", "\u2029": "U+2029", "\u202e": "U+202E"}
FOREIGN = "iframe, form[action], base, svg[onload], script[src], img[onerror]"  # what no page has of its own


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium is installed; PHIDATA_CHROMIUM can name one")
    with running_browser(program, tmp_path_factory.mktemp("profile")) as running:
        yield running


def hostile_row(number: int, payload: str) -> dict[str, Any]:
    said = turn(["red.png"], payload, payload)
    return {"id": f"{number}{payload}", "source": payload, "conversations": [said | {"answers": [payload]}]}


def write_hostile_run(root: Path) -> Path:
    """A run that was evaluated before and after, whose every text is a script."""
    data = write_data(root / "data", val=[hostile_row(*numbered) for numbered in enumerate(PAYLOADS)])
    folder = root / PAYLOADS[1].replace("/", "\u2215")
    folder.mkdir()
    config = {"model": {"name_or_path": PAYLOADS[0]}, "data": {"dir": str(data)}}
    (folder / "train_config.json").write_text(json.dumps(config_from(config).as_dict()))
    log = [line(step, spike=step == 2, samples=list(PAYLOADS)) for step in (1, 2, 3)]
    (folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in log))
    (folder / "environment.json").write_text(json.dumps({payload: payload for payload in PAYLOADS}))
    rows = phidata.load(data, "val")
    for step, when in enumerate(("before", "after")):
        answers = {(number, 0): payload if step else f"no {payload}" for number, payload in enumerate(PAYLOADS)}
        result = split_result(rows, answers, ["accuracy"])
        document = {"model": PAYLOADS[2], "step": step, "metrics": ["accuracy"], "splits": {"val": result}}
        (folder / f"eval_{when}.json").write_text(json.dumps(document))
    return folder


def test_scripts_in_every_text_of_a_run_are_text(tmp_path: Path, browser: Browser) -> None:
    browser.open(write_report_page(write_hostile_run(tmp_path)))
    shown = browser.run("document.body.innerText")
    for payload in PAYLOADS:
        text = "".join(WRITTEN.get(character, character) for character in payload.replace("\ufeff", "U+FEFF"))
        assert text in shown
    assert browser.run("window.hacked ?? null") is None
    assert browser.run(f"document.querySelectorAll('{FOREIGN}').length") == 0
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("file:///")] == []
