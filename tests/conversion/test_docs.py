"""docs/convert.md and docs/writing-a-converter.md say what the program does."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import phidata
from phidata import conversion
from phidata.cli import main
from phidata.commands.convert import ConverterOption, convert

from .conftest import ROOT, VIDEOS

PAGE = (ROOT / "docs" / "convert.md").read_text()
WRITING = (ROOT / "docs" / "writing-a-converter.md").read_text()


def test_the_page_lists_every_option_with_its_default() -> None:
    table = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \| ([^|]*?) *\|", PAGE, re.MULTILINE))
    options = {option.opts[0]: option for option in convert.params if not isinstance(option, ConverterOption)}
    assert set(table) == set(options)
    documented = {name: text for name, text in table.items() if re.fullmatch(r"[\w-]+", text)}
    assert documented == {
        name: str(option.default)
        for name, option in options.items()
        if isinstance(option.default, int | str) and not isinstance(option.default, bool)
    }


@pytest.fixture
def mydata(tmp_path: Path) -> Path:
    """The page's converter as a file, and beside it `videos`, one with a description and one without."""
    [module] = re.findall(r"```python\n(.*?)```", WRITING, re.DOTALL)
    (tmp_path / "mydata.py").write_text(module)
    (tmp_path / "videos").mkdir()
    for name in ("tiny", "other"):
        shutil.copyfile(VIDEOS / "tiny_av1.mp4", tmp_path / "videos" / f"{name}.mp4")
    (tmp_path / "videos" / "tiny.txt").write_text("A cat sleeps.\n\nIt snores.\n")
    (tmp_path / "videos" / "LOUD.MP4").write_bytes((VIDEOS / "tiny_av1.mp4").read_bytes())
    (tmp_path / "videos" / "LOUD.txt").write_bytes(b"\xff")
    (tmp_path / "videos" / "notes.md").write_text("")
    return tmp_path / "mydata.py"


def test_the_pages_converter_works(tmp_path: Path, mydata: Path) -> None:
    manifest = phidata.convert(
        str(mydata),
        source=tmp_path / "videos",
        out=tmp_path / "out",
        settings={"question": "What happens?"},
        max_failures=1,
    )
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert failure["reason"] == "its text 'LOUD.txt' is not UTF-8 (invalid start byte at byte 0)"
    assert (manifest.splits["train"].written, manifest.images.num) == (1, 8)
    assert manifest.rows.skip_reasons == {"no description beside it": 1, "no video and no description of one": 1}
    assert phidata.validate(tmp_path / "out", media="decode").ok
    [row] = phidata.load(tmp_path / "out")
    assert [(turn.user, turn.assistant, len(turn.images)) for turn in row.conversations] == [
        ("What happens?", "A cat sleeps.", 8),
        ("What else?", "It snores.", 0),
    ]
    assert row.metadata is not None
    assert set(row.metadata) == {"seconds", "fps"}


def test_the_pages_converter_keeps_every_promise(
    tmp_path: Path, mydata: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test-converter", str(mydata), "--source", str(tmp_path / "videos")]) == 0
    assert "BROKEN" not in capsys.readouterr().out


def test_the_page_names_only_what_there_is() -> None:
    table = WRITING[WRITING.index("From `phidata.conversion`") : WRITING.index("Media are named") :]
    named = re.findall(r"^\| `(\w+)", table, re.MULTILINE) + re.findall(r"^\| `\w+`, `(\w+)`", table, re.MULTILINE)
    assert [name for name in named if not hasattr(conversion, name)] == []
    assert len(named) > 10
