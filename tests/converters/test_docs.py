"""docs/sources.md names every converter, and its table of excerpts is what a conversion gives."""

from __future__ import annotations

import pytest

from phidata.conversion.converter import find_converter, registered_converters

from .excerpts import BEGIN, COLLECTION, END, PAGE, table

CHATS = {"llava", "messages", "sharegpt", "swift"}  # are in docs/export.md


def test_every_converter_and_option_is_described() -> None:
    page = PAGE.read_text("utf-8")
    headings = {name for line in page.splitlines() if line.startswith("## ") for name in line[3:].split(", ")}
    assert set(registered_converters()) - CHATS <= headings
    for name in set(registered_converters()) - CHATS:
        for option in find_converter(name).about.options:
            assert f"`--{option.name} " in page or f"--{option.name} " in page, (name, option.name)


@pytest.mark.skipif(not (COLLECTION / "annotations").is_dir(), reason="PHIDATA_TEST_DATA names no collection")
def test_the_table_of_excerpts_is_what_a_conversion_gives() -> None:
    assert PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0] == table()
