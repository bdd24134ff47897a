"""Folders of examples: a file in valid/ has no finding, a file in invalid/ has those of its .expected file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from phidata.cli import cli
from phidata.diagnostics.catalogue import RULES

HERE = Path(__file__).parent
VALID = sorted(path.name for path in (HERE / "valid").glob("*.jsonl"))
INVALID = sorted(path.name for path in (HERE / "invalid").glob("*.jsonl"))
# A line of 17 MB, a folder with a manifest (test_files.py), a shard (test_shards.py), and what has to be asked for.
ELSEWHERE = {"PHI007", "PHI016", "PHI017"} | {code for code in RULES if code.startswith(("PHI5", "PHI6"))}


def check(name: str) -> tuple[int, str]:
    arguments = ["validate", name, "--images", "images", "--media", "decode", "--format", "json"]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False, catch_exceptions=False)
    return result.return_value, result.stdout


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


@pytest.mark.parametrize("name", VALID)
def test_a_valid_file_has_no_finding(name: str) -> None:
    code, written = check(f"valid/{name}")
    assert code == 0
    assert '"errors": 0, "warnings": 0, ' in written
    assert len(written.splitlines()) == 1


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_file_has_exactly_its_findings(name: str) -> None:
    code, written = check(f"invalid/{name}")
    assert written == (HERE / "invalid" / name).with_suffix(".expected").read_text()
    assert f'"code": "{name.partition("-")[0]}"' in written
    assert code == ('"severity": "error"' in written)


def test_each_rule_has_an_example() -> None:
    assert {name.partition("-")[0] for name in INVALID} == set(RULES) - ELSEWHERE
