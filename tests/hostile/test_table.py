"""The table is whole, and the page shows it."""

from __future__ import annotations

from pathlib import Path

from .page import page
from .table import PARTS, lines

PAGE = Path(__file__).parents[2] / "docs" / "hostile.md"


def test_the_page_of_hostile_inputs_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == "\n".join(page()) + "\n", "run: python -m tests.hostile.page > docs/hostile.md"


def test_every_line_has_a_name_of_its_own() -> None:
    for part in PARTS:
        names = [line.name for line in lines(part)]
        assert len(set(names)) == len(names)
