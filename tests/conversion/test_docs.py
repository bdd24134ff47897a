"""docs/convert.md says what the program does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import phidata
from phidata.commands.convert import convert

from .conftest import ROOT, VIDEOS, Plug

PAGE = (ROOT / "docs" / "convert.md").read_text()


def test_the_page_lists_every_option_with_its_default() -> None:
    table = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \| ([^|]*?) *\|", PAGE, re.MULTILINE))
    options = {option.opts[0]: option for option in convert.params}
    assert set(table) == set(options)
    documented = {name: text for name, text in table.items() if re.fullmatch(r"\w+", text)}
    assert documented == {
        name: str(option.default)
        for name, option in options.items()
        if isinstance(option.default, int | str) and not isinstance(option.default, bool)
    }


def test_the_pages_converter_works(tmp_path: Path, plug: Plug) -> None:
    [module] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    plug("mydata", module)
    (tmp_path / "source").mkdir()
    shutil.copyfile(VIDEOS / "tiny_av1.mp4", tmp_path / "source" / "tiny.mp4")
    manifest = phidata.convert("mydata", source=tmp_path / "source", out=tmp_path / "out")
    assert (manifest.splits["train"].written, manifest.images.num) == (1, 8)
    assert phidata.validate(tmp_path / "out", media="decode").ok
