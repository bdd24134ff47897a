"""Which findings are shown and counted: codes, a baseline of old ones, a limit, counts instead of findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import phidata
from phidata import UsageError
from phidata.cli import main
from phidata.validation.selection import select_codes

GOOD = '{"id": "%s", "source": "s", "conversations": [{"images": [], "user": "u", "assistant": "x"}]}\n'
BLANK = GOOD.replace('"u"', '" "')
PATH = GOOD.replace("[]", '["/a.jpg"]', 1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    code = main(["validate", *arguments, "--media", "none", "--format", "json"])
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    return code, [line.get("code", line["type"]) for line in lines], err


@pytest.mark.parametrize(
    ("select", "ignore", "kept"),
    [
        ((), (), ["PHI202", "PHI301"]),
        ("PHI3", (), ["PHI301"]),
        ("phi202", (), ["PHI202"]),
        ("blank-text", (), ["PHI202"]),
        ((), "PHI3", ["PHI202"]),
        ("PHI", "PHI202,PHI301", []),
        ("PHI2, PHI3", "PHI20", ["PHI301"]),
        ("PHI301", "PHI3", ["PHI301"]),
        ("PHI3", "PHI301", []),
        ("PHI3", "PHI3", []),
    ],
)
def test_the_longer_beginning_of_a_code_decides(select: str, ignore: str, kept: list[str]) -> None:
    Path("rows.jsonl").write_text(BLANK % "a" + PATH % "b")
    report = phidata.validate("rows.jsonl", media="none", select=select, ignore=ignore)
    assert [found.code for found in report.diagnostics] == kept
    assert report.errors == len(kept)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("PHI9", "no diagnostic 'PHI9'; `phidata explain` lists them all"),
        ("PHI2021", "no diagnostic 'PHI2021'; did you mean PHI202?"),
        ("blank-txt", "no diagnostic 'blank-txt'; did you mean PHI202?"),
    ],
)
def test_an_unknown_code_is_refused_with_the_nearest(code: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        select_codes((), code)
    assert str(refused.value).startswith(sentence.split("; ")[0])
    assert "did you mean" in str(refused.value) or "lists them all" in str(refused.value)


def test_a_baseline_accepts_old_findings_whose_lines_have_moved(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    data, baseline = here / "data", here / "ci" / "baseline.json"
    data.mkdir()
    baseline.parent.mkdir()
    rows = data / "rows.jsonl"
    rows.write_text(BLANK % "a" + GOOD % "b" + PATH % "c")
    code, _, err = run(capsys, "data/rows.jsonl", "--baseline", "ci/baseline.json", "--write-baseline")
    assert (code, err) == (
        0,
        "ci/baseline.json accepts 2 findings from now on\n2 older findings are accepted by the baseline\n",
    )
    assert [json.loads(line.rstrip(",")) for line in baseline.read_text().splitlines()[1:-1]] == [
        {"file": "../data/rows.jsonl", "code": "PHI202", "fingerprint": "7ac2fec7a178e3c8", "count": 1},
        {"file": "../data/rows.jsonl", "code": "PHI301", "fingerprint": "93ad28ab2d6a5c40", "count": 1},
    ]
    rows.write_text(GOOD % "new" + PATH % "c" + "\n" + BLANK % "a" + BLANK % "d")
    code, found, _ = run(capsys, str(rows), "--baseline", "ci/baseline.json")  # the file by another of its names
    assert (code, found) == (1, ["PHI005", "PHI202", "summary"])
    report = phidata.validate(rows, media="none", baseline=baseline)
    assert ([found.id for found in report.diagnostics], report.accepted) == ([None, "d"], 2)


def test_a_baseline_accepts_as_many_as_there_were(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text("\n" * 2)
    run(capsys, "rows.jsonl", "--baseline", "known.json", "--write-baseline")
    Path("rows.jsonl").write_text("\n" * 3)
    assert run(capsys, "rows.jsonl", "--baseline", "known.json")[:2] == (1, ["PHI005", "summary"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "error: no baseline known.json; write one with --write-baseline\n"),
        ("[]", "error: known.json is not a baseline (Expected `object`, got `array`); write it again with"),
        ('{"version": 9, "findings": []}', "error: known.json is a baseline of version 9, not 1; write it again\n"),
    ],
)
def test_what_is_no_baseline_is_refused(capsys: pytest.CaptureFixture[str], content: str | None, sentence: str) -> None:
    Path("rows.jsonl").write_text(GOOD % "a")
    if content is not None:
        Path("known.json").write_text(content)
    code, out, err = run(capsys, "rows.jsonl", "--baseline", "known.json")
    assert (code, out) == (2, [])
    assert err.startswith(sentence)


def test_a_limit_stops_showing_and_counts_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text("".join(BLANK % number for number in range(5)))
    code = main(["validate", "rows.jsonl", "--format", "json", "--limit-errors", "2"])
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, len(lines), lines[-1]["errors"]) == (1, 3, 5)
    assert err == "3 more findings are counted but not shown, by --limit-errors\n"


def test_statistics_count_by_code_in_place_of_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text(BLANK % "a" + "\n" + "\n" + GOOD.replace('"u"', '"<s>"') % "b")
    assert main(["validate", "rows.jsonl", "--statistics"]) == 1
    assert capsys.readouterr().out == (
        "3 errors, 1 warning in 2 rows, 2 turns, 0 images\n"
        "2  PHI005  error    a line without a row  [--fix]\n"
        "1  PHI202  error    a user or assistant text without content\n"
        "1  PHI203  warning  text that spells a control token of the model\n"
    )
    assert main(["validate", "rows.jsonl", "--statistics", "--format", "json", "--select", "PHI202"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[1]) == {
        "type": "statistics",
        "code": "PHI202",
        "name": "blank-text",
        "severity": "error",
        "count": 1,
        "fixable": "no",
    }


def test_sarif_on_the_command_line_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text(BLANK % "a" + PATH % "b")
    assert main(["validate", "rows.jsonl", "--media", "none", "--format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["PHI202", "PHI301"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--write-baseline"], "--write-baseline needs --baseline FILE, the file to write"),
        (["--unsafe-fixes"], "--unsafe-fixes says what --fix and --diff may do; give one of them too"),
        (["--statistics", "--format", "sarif"], "--statistics has no form in SARIF; choose the format text or json"),
        (["--max-length", "9"], "--max-length is about tokens; add --tokens phi3v to count them"),
        (["--tokenizer", "x"], "--tokenizer is about tokens; add --tokens phi3v to count them"),
        (
            ["--fix", "--write-baseline", "--baseline", "b"],
            "--write-baseline accepts findings and --fix repairs them; do one after the other",
        ),
        (["--tokens", "phi3v", "--tokenizer", "x"], "no tokenizer x; give a tokenizer.json or the model's folder"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    Path("rows.jsonl").write_text(GOOD % "a")
    assert main(["validate", "rows.jsonl", *arguments]) == 2
    assert capsys.readouterr() == ("", f"error: {sentence}\n")


def test_a_baseline_that_can_not_be_written_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text(BLANK % "a")
    Path("known.json").mkdir()
    assert main(["validate", "rows.jsonl", "--baseline", "known.json", "--write-baseline", "--media", "none"]) == 2
    sentence = "error: the baseline known.json can not be written (Is a directory); name a file where one can be\n"
    assert capsys.readouterr().err == sentence
