"""What docs/seeing.md shows is what the commands say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import phidata
from phidata.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "seeing.md").read_text("utf-8")
NOT_THE_SAME_EVERYWHERE = "image bytes"  # another release of Pillow compresses a little otherwise


def example(command: str) -> list[str]:
    """What the page shows below a command."""
    (shown,) = re.findall(rf"```console\n\$ {re.escape(command)}\n(.*?)```", PAGE, re.DOTALL)
    return [line for line in shown.splitlines() if not line.startswith(NOT_THE_SAME_EVERYWHERE)]


def test_the_examples_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    phidata.convert("ucf101", source=ROOT / "examples" / "ucf101_subset", out="data/ucf101", jobs=1)
    for command in ("phidata stats data/ucf101", "phidata preview data/ucf101"):
        assert main(command.split()[1:]) == 0
        said = capsys.readouterr().out.splitlines()
        assert [line for line in said if not line.startswith(NOT_THE_SAME_EVERYWHERE)] == example(command)
