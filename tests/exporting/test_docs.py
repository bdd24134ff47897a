"""The page about the formats says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phidata.cli import main
from phidata.commands import export
from phidata.exporting.run import IMAGES, TARGETS
from phidata.sources.tags import lift_tags

from .conftest import picture

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_prints_and_writes_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows, exported = blocks("json")
    for name in ("1", "2"):
        path = Path(f"pets/images/train/dogs/{name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(f"train/a/{name}.jpg"))
    Path("pets/pets_train.jsonl").write_text(rows)
    (shown,) = blocks("console")
    command, _, output = shown.partition("\n")
    assert main(command.split()[2:]) == 0
    told = capsys.readouterr()
    refused = [line for line in told.err.splitlines() if line.startswith("refused")]
    assert "\n".join([*refused, told.out]) == output
    assert Path("exported/train.jsonl").read_text() == exported


def test_the_formats_and_ways_of_the_page_are_those_there_are() -> None:
    assert export.TARGETS == TARGETS
    assert f"phidata export DIR --to {'|'.join(TARGETS)} --out OUT" in PAGE
    table = PAGE.split("| `--images` | |\n")[1].split("\n\n")[0]
    assert tuple(re.findall(r"^\| (\w+) \|", table, re.MULTILINE)) == IMAGES


def test_the_texts_of_the_page_become_what_it_says() -> None:
    table = PAGE.split("| text | becomes |\n|---|---|\n")[1].split("\n\n")[0]
    for said, becomes in re.findall(r"^\| (.*) \| `(.*)` \|$", table, re.MULTILINE):
        for text in re.findall(r"`(.*?)`", said):
            assert lift_tags(text.replace("\\n", "\n"), ("<image>",)).text == becomes.replace("\\n", "\n")
