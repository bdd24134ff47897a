"""docs/curation.md says what the commands do."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click
import pytest

import phidata
from phidata.cli import main
from phidata.commands.dedup import dedup
from phidata.commands.merge import merge
from phidata.commands.split import split

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "curation.md").read_text()
COMMON, *PARTS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
CLIPS = Path(os.environ.get("PHIDATA_TEST_DATA", ROOT.parent / "shared" / "data")) / "ucf101_subset"


@pytest.mark.parametrize("command", [merge, split, dedup], ids=lambda command: str(command.name))
def test_the_page_lists_every_option_with_its_default(command: click.Command) -> None:
    [part] = [part for part in PARTS if part.startswith(f"{command.name}\n")]
    table = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \| ([^|]*?) *\|", COMMON + part, re.MULTILINE))
    options = {option.opts[0]: option for option in command.params if option.opts[0].startswith("--")}
    assert set(table) == set(options)
    stated = {
        name: str(option.default)
        for name, option in options.items()
        if isinstance(option.default, int | str) and not isinstance(option.default, bool)
    }
    assert {name: table[name] for name in stated} == stated


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips of UCF-101 are not there")
def test_the_pages_report_is_that_of_real_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phidata.convert("ucf101", source=CLIPS, out=tmp_path / "ucf101")
    assert main(["dedup", str(tmp_path / "ucf101")]) == 1
    report = capsys.readouterr().out
    assert "\n".join(f"    {line}".rstrip() for line in report.splitlines()) in PAGE
    assert phidata.dedup(tmp_path / "ucf101", distance=None).num_open == 0


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips of UCF-101 are not there")
def test_the_pages_grouping_puts_clips_of_one_video_on_one_side(tmp_path: Path) -> None:
    phidata.convert("ucf101", source=CLIPS, out=tmp_path / "ucf101")
    [by_video, by_number] = re.findall(r"--by '(path:[^']+)'", PAGE)
    for by, groups in ((by_video, 3), (by_number, 1)):
        divided = phidata.split(tmp_path / "ucf101", out=tmp_path / "out", splits={"all": 1}, by=by, dry_run=True)
        assert divided.groups == groups
