"""The page of `phidata preview` with scripts in every text of the data, in a headless Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.previewing.browser import Browser, find_browser, running_browser

from .making import png
from .payloads import PAYLOADS
from .promises import keeps, nothing_changes_but, told
from .table import by_name

LINES = by_name("pages")
TITLE = "document.getElementById('detail-title').textContent"
FOREIGN = "iframe, form[action], base, svg[onload], script[src], img[onerror]"  # what no page has of its own


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip("no Chromium is installed; PHIDATA_CHROMIUM can name one")
    with running_browser(program, tmp_path_factory.mktemp("profile")) as running:
        running.view(width=1280, height=900)
        yield running


def as_path(payload: str) -> str:
    """The payload as far as it can be a path: without what would lead elsewhere or be no path at all."""
    return payload.replace("/", "\u2215").replace("\\", "").replace("\0", "")[:80]


def write_hostile(root: Path) -> Path:
    """A data folder with a row for each payload, which stands in all of its texts; every second image is missing."""
    folder = root / as_path(PAYLOADS[0])
    rows = []
    for number, payload in enumerate(PAYLOADS):
        images = [f"{as_path(payload)}/{number}.png", f"gone/{as_path(payload)}.png"]
        place = folder / "images" / images[0]
        place.parent.mkdir(parents=True)
        place.write_bytes(png())
        turn = {"images": images, "user": payload, "assistant": payload, "answers": [payload]}
        metadata = {payload: payload, "list": [payload, {payload: None}]}
        ids = {"id": f"{number}{payload}", "source": payload}
        rows.append({**ids, "conversations": [turn, turn | {"images": []}], "metadata": metadata})
    rows.append({"id": PAYLOADS[1], PAYLOADS[1]: PAYLOADS[1]})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{as_path(PAYLOADS[1])}_{as_path(PAYLOADS[3])}.jsonl").write_text(lines + f"{PAYLOADS[0]}\n", "utf-8")
    return folder


@pytest.mark.parametrize("name", ["preview-beside", "preview-alone"])
def test_scripts_in_every_text_of_the_data_are_text(
    name: str, here: Path, capsys: pytest.CaptureFixture[str], browser: Browser
) -> None:
    folder = write_hostile(here)
    page = folder / "page.html" if name == "preview-beside" else here / "page.html"
    with nothing_changes_but(here, page.relative_to(here).as_posix()):
        keeps(LINES[name], told(capsys, "preview", folder, "--out", page))
    browser.open(page)
    titles = []
    for _ in range(len(PAYLOADS) + 2):
        browser.press("j", "Enter")
        browser.until("document.getElementById('detail').open")
        titles.append(browser.run(TITLE))
        browser.press("Escape")
        browser.until("!document.getElementById('detail').open")
    assert len(set(titles)) == len(PAYLOADS) + 2
    browser.press("/")
    browser.type(PAYLOADS[4])
    browser.until("document.getElementById('count').textContent.includes(' of ')")
    assert browser.run("window.hacked ?? null") is None
    assert browser.run(f"document.querySelectorAll('{FOREIGN}').length") == 0
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("file:///")] == []
