"""The GitHub Action and the pre-commit hooks: what they run, run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GOOD = '{"id": "%s", "source": "s", "conversations": [{"images": [], "user": "u", "assistant": "x"}]}\n'


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which `phidata` is this phidata."""
    command = tmp_path / "bin" / "phidata"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m phidata "$@"\n')
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}


def action() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    return loaded


def hooks() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    return loaded


def run_step(folder: Path, environment: dict[str, str], **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's check as a runner does: inputs by the environment, `bash -e`."""
    described = action()
    [step] = [step for step in described["runs"]["steps"] if step.get("name") == "Validate"]
    values = {name: str(about.get("default", "")) for name, about in described["inputs"].items()} | inputs
    given = {
        variable: values[re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", expression)[1]]  # type: ignore[index]
        for variable, expression in step["env"].items()
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(
        command, cwd=folder, env={**environment, **given}, capture_output=True, text=True, check=False
    )


def test_the_action_passes_good_data(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "rows.jsonl").write_text(GOOD % "a")
    done = run_step(tmp_path, environment, paths="rows.jsonl")
    assert (done.returncode, done.stdout) == (0, "0 errors, 0 warnings in 1 row, 1 turn, 0 images\n")


def test_the_action_marks_findings_and_fails(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "a.jsonl").write_text("[]\n")
    (tmp_path / "b.jsonl").write_text(GOOD % "a" + "\n")
    done = run_step(
        tmp_path, environment, paths="a.jsonl b.jsonl", media="none", args="--ignore PHI005", sarif="found.sarif"
    )
    assert (done.returncode, done.stdout.splitlines()) == (
        1,
        [
            "::error file=a.jsonl,line=1,col=1,title=PHI101 wrong-type::the row has to be an object, found a list; "
            "write each entry of the list on a line of its own",
            "1 error, 0 warnings in 2 rows, 1 turn, 0 images",
        ],
    )
    log = json.loads((tmp_path / "found.sarif").read_text())
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["PHI101"]


def test_the_action_fails_for_what_is_not_there(tmp_path: Path, environment: dict[str, str]) -> None:
    assert run_step(tmp_path, environment, paths="gone.jsonl", sarif="found.sarif").returncode == 2


def test_the_hooks_check_and_repair_the_files_they_are_given(tmp_path: Path, environment: dict[str, str]) -> None:
    check, repair = hooks()
    assert (check["id"], repair["id"]) == ("phidata-validate", "phidata-fix")
    (tmp_path / "rows.jsonl").write_text(GOOD % "a" + "\n")
    codes = [
        subprocess.run(
            [*hook["entry"].split(), "rows.jsonl"], cwd=tmp_path, env=environment, capture_output=True, check=False
        ).returncode
        for hook in (check, repair, check)
    ]
    assert codes == [1, 0, 0]
    assert (tmp_path / "rows.jsonl").read_text() == GOOD % "a"


@pytest.mark.parametrize(
    ("path", "is_checked"),
    [
        ("data/birds_train.jsonl", True),
        ("rows.jsonl", True),
        ("data/ledger.jsonl", False),
        ("failures.jsonl", False),
        ("data/rows.json", False),
    ],
)
def test_the_hooks_take_files_of_rows(path: str, is_checked: bool) -> None:
    for hook in hooks():
        taken = re.search(hook["files"], path) and not re.search(hook["exclude"], path)
        assert bool(taken) == is_checked


def test_the_page_shows_inputs_and_hooks_that_there_are() -> None:
    page = (ROOT / "docs" / "validate.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    [steps] = [block for block in blocks if isinstance(block, list)]
    [config] = [block for block in blocks if isinstance(block, dict)]
    assert set(steps[1]["with"]) <= set(action()["inputs"])
    assert config["repos"][0]["hooks"][0]["id"] in {hook["id"] for hook in hooks()}
