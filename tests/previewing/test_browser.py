"""The page as a person uses it, in a headless Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import phidata

from .browser import Browser
from .conftest import HOSTILE, HOSTILE_ID, IMAGES, row, turn, write_folder

CARDS = "[...document.querySelectorAll('.card .id')].map((card) => card.textContent)"
COUNT = "document.getElementById('count').textContent"
FOCUSED = "document.activeElement.querySelector('.id')?.textContent ?? document.activeElement.id"
TITLE = "document.getElementById('detail').open ? document.getElementById('detail-title').textContent : null"
DRAWN = "[...document.querySelectorAll({})].every((image) => image.complete && image.naturalWidth > 0)"


@pytest.fixture(scope="module")
def beside(odd: Path) -> Path:
    """A page beside its data: images are linked."""
    return phidata.preview(odd, odd.parent / "beside.html").path


@pytest.fixture(scope="module")
def alone(odd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page by itself: images are carried in it."""
    return phidata.preview(odd, tmp_path_factory.mktemp("alone") / "alone.html").path


@pytest.fixture
def calm(browser: Browser) -> Iterator[Browser]:
    """The browser; at the end of a test nothing may have complained, and nothing left the disk."""
    yield browser
    assert browser.complaints == []
    assert [url for url in browser.requests if not url.startswith("file:///")] == []


def pick(browser: Browser, menu: str, label: str) -> None:
    browser.run(
        f"(() => {{ const menu = document.getElementById('pick-{menu}');"
        f"menu.selectedIndex = [...menu.options].findIndex((option) => option.value === '{label}');"
        "menu.dispatchEvent(new Event('change')) })()"
    )


def open_first(browser: Browser) -> None:
    browser.press("j", "Enter")
    browser.until("document.getElementById('detail').open")


def test_rows_are_listed_with_their_pictures(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    calm.until(DRAWN.format("'.strip img'"))
    assert calm.run(CARDS) == ["album-1", HOSTILE_ID, "gone-1", "text-1", "tokens-1", "row 3"]
    calm.press("j", "End")
    assert calm.run(FOCUSED) == "row 3"
    assert calm.run("document.querySelectorAll('.card img').length") >= 4
    assert calm.run("document.getElementById('facts').textContent") == "6 rows · 7 images · images-jsonl"


def test_search_finds_texts_ids_paths_and_metadata(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    for words, found in (
        ("which red", "album-1"),
        ("gone.jpg", "gone-1"),
        ("12345678901234567890123", "album-1"),
        ("كلب", "text-1"),
        ("PHI203", "tokens-1"),
    ):
        calm.press("/")
        assert calm.run(FOCUSED) == "search"
        calm.type(words)
        calm.until(f"JSON.stringify({CARDS}) === JSON.stringify(['{found}'])")
        assert calm.run(COUNT) == "1 of 6 rows"
        calm.press("Enter")
        assert calm.run(FOCUSED) == found
    calm.run("document.getElementById('clear').click()")
    assert calm.run(COUNT) == "6 rows"


def test_menus_and_bars_filter(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    pick(calm, "split", "val")
    assert calm.run(COUNT) == "3 of 6 rows"
    pick(calm, "images", "1")
    assert calm.run(CARDS) == ["tokens-1"]
    pick(calm, "split", "")
    assert calm.run(COUNT) == "2 of 6 rows"
    calm.run("document.getElementById('clear').click()")
    pick(calm, "code", "PHI401")
    assert calm.run(CARDS) == ["gone-1"]
    calm.run("document.getElementById('clear').click()")
    calm.run("[...document.querySelectorAll('.bar')].find((bar) => bar.textContent.startsWith('<b>web</b>')).click()")
    assert calm.run(CARDS) == [HOSTILE_ID]
    assert calm.run("document.querySelector('.bar[aria-pressed=true]').textContent") == "<b>web</b>1"


def test_a_row_is_read_and_its_picture_looked_at_by_keyboard(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    open_first(calm)
    assert calm.run(TITLE) == "album-1"
    assert calm.run("[...document.querySelectorAll('#detail .say .text')].map((text) => text.textContent)") == [
        "Which one is red?",
        "The second.",
        "Sure?",
        "Yes.",
        "And this?",
        "Blue.",
    ]
    assert calm.run("document.querySelector('#detail .turn .tag').textContent") == "I am."
    assert "12345678901234567890123" in calm.run("document.querySelector('#detail .beside pre').textContent")
    calm.press("Tab", "Enter")
    calm.until("document.getElementById('viewer').open")
    sizes = []
    for _ in range(3):
        calm.until(DRAWN.format("'#viewer img'"))
        sizes.append(calm.run("[document.querySelector('#viewer img').naturalWidth, viewer.textContent.slice(0, 10)]"))
        calm.press("ArrowRight")
    assert sizes == [[320, "a/1.jpg1 o"], [240, "a/2 #?.jpg"], [800, "wide.jpg3 "]]
    calm.press("Escape")
    assert calm.run("[document.getElementById('viewer').open, document.getElementById('detail').open]") == [False, True]
    calm.press("j")
    assert calm.run(TITLE) == HOSTILE_ID
    calm.press("k", "Escape")
    calm.until("!document.getElementById('detail').open")
    assert calm.run(FOCUSED) == "album-1"


def test_linked_images_have_their_full_size(calm: Browser, beside: Path) -> None:
    calm.open(beside)
    open_first(calm)
    calm.run("document.querySelectorAll('#detail .frames button')[2].click()")
    calm.until(DRAWN.format("'#viewer img'"))
    assert calm.run("document.querySelector('#viewer img').naturalWidth") == 900
    assert len(calm.requests) == 4


def test_a_page_that_was_moved_falls_back_to_its_thumbnails(browser: Browser, beside: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.html"
    moved.write_bytes(beside.read_bytes())
    browser.open(moved)
    open_first(browser)
    browser.run("document.querySelector('#detail .frames button').click()")
    browser.until("document.getElementById('viewer').textContent.includes('this is the thumbnail')")
    browser.until(DRAWN.format("'#viewer img, #detail img'"))
    assert browser.run("document.querySelector('#viewer img').naturalWidth") == 144


def test_hostile_text_is_text(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    calm.press("j", "j", "Enter")
    assert calm.run(TITLE) == HOSTILE_ID
    shown = HOSTILE.replace("\u2028", "U+2028").replace("\u202e", "U+202E").replace("\u200f", "U+200F")
    assert (
        calm.run("[...document.querySelectorAll('#detail .say .text')].map((text) => text.textContent)") == [shown] * 2
    )
    assert calm.run("window.hacked") is None
    assert calm.run("document.querySelectorAll('main script, dialog script, dialog b').length") == 0


def test_findings_stand_beside_their_row(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    pick(calm, "code", "PHI401")
    assert calm.run("document.querySelector('.card .missing').textContent") == "image 'a/gone.jpg' is missing"
    open_first(calm)
    finding = calm.run("document.querySelector('#detail .finding').textContent")
    assert finding.startswith("PHI401 errorimage 'a/gone.jpg' is missing in ")
    assert calm.run("document.querySelector('#detail mark').textContent") == '"a/gone.jpg"'


def test_a_row_that_can_not_be_read_is_shown_with_its_reason(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    pick(calm, "code", "PHI102")
    open_first(calm)
    assert calm.run(TITLE) == "row 3"
    assert "this line is not a conversation" in calm.run("document.querySelector('#detail .say.error').textContent")


def test_light_and_dark_follow_the_system_and_the_button(calm: Browser, alone: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    calm.open(alone)
    light = calm.run(paper)
    calm.view(width=1280, height=900, dark=True)
    dark = calm.run(paper)
    assert dark != light
    calm.run("document.getElementById('theme').click()")
    assert calm.run(paper) == light
    calm.run("document.getElementById('theme').click()")
    assert calm.run(paper) == dark
    calm.view(width=1280, height=900)


def test_a_narrow_window_has_nothing_beside_it(calm: Browser, alone: Path) -> None:
    calm.view(width=380, height=700)
    calm.open(alone)
    assert calm.run("document.documentElement.scrollWidth <= innerWidth")
    open_first(calm)
    assert calm.run("document.getElementById('detail').scrollWidth <= innerWidth")
    calm.view(width=1280, height=900)


def test_everything_that_is_shown_is_printed(calm: Browser, alone: Path) -> None:
    calm.open(alone)
    pick(calm, "split", "val")
    calm.run("dispatchEvent(new Event('beforeprint'))")
    assert calm.run("[...document.querySelectorAll('#print .printed .id')].map((id) => id.textContent)") == [
        "text-1",
        "tokens-1",
        "row 3",
    ]
    calm.run("dispatchEvent(new Event('afterprint'))")
    assert calm.run("document.getElementById('print').childElementCount") == 0


def test_ten_thousand_rows_are_a_few_cards(calm: Browser, tmp_path: Path) -> None:
    rows = [row(f"r{number:05}", turn(["a/1.jpg"], f"Question {number}?", "Yes.")) for number in range(10_000)]
    folder = write_folder(tmp_path / "many", {"train": rows}, IMAGES)
    calm.open(phidata.preview(folder, tmp_path / "page.html", media="none").path)
    assert calm.run(COUNT) == "10,000 rows"
    assert calm.run("document.querySelectorAll('.card').length") < 20
    calm.press("j", "End")
    calm.until(DRAWN.format("'.strip img'"))
    assert calm.run(FOCUSED) == "r09999"
    calm.press("/")
    calm.type("Question 7777?")
    calm.until(f"{COUNT} === '1 of 10,000 rows'")
    assert calm.run(CARDS) == ["r07777"]


@pytest.mark.parametrize("width", [500, 1300])
def test_a_long_name_hides_nothing_beside_it(calm: Browser, tmp_path: Path, width: int) -> None:
    long = row("id" * 60, turn(["gone.jpg"], "<|image_1|>", "It."), source="source" * 20)
    folder = write_folder(tmp_path / "odd", {"train": [long], "split" * 20: [long]}, {})
    calm.view(width=width, height=900)
    calm.open(phidata.preview(folder, tmp_path / "page.html").path)
    calm.until("document.querySelectorAll('.card').length === 2")
    cut = (
        "[...document.querySelectorAll('.card')].map((card) => [...card.querySelectorAll('.id, .split, .source, .place"
        " > *, .badges > *')].filter((part) => part.clientWidth < part.scrollWidth"
        " || part.getBoundingClientRect().right > card.getBoundingClientRect().right).map((part) => part.className))"
    )
    assert calm.run(cut) == [["id", "tag source"], ["id", "tag split", "tag source", "file"]]
    calm.view(width=1280, height=900)
