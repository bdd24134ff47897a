"""`phidata validate` and `phidata explain` as a person meets them: output, exit codes, interruptions."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from phidata.cli import main

GOOD = '{"id": "%s", "source": "s", "conversations": [{"images": [], "user": "u", "assistant": "x"}]}\n'
COMMAND = [sys.executable, "-m", "phidata", "validate"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "rows.jsonl"


def test_a_clean_file_is_exit_code_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD % "a")
    assert main(["validate", "rows.jsonl"]) == 0
    assert capsys.readouterr() == ("0 errors, 0 warnings in 1 row, 1 turn, 0 images\n", "")


def test_an_error_is_exit_code_1(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[]\n")
    assert main(["validate", "rows.jsonl"]) == 1
    assert capsys.readouterr() == (
        "rows.jsonl:1:1: error PHI101: the row has to be an object, found a list\n"
        "  1 | []\n"
        "    | ^^\n"
        "    = help: write each entry of the list on a line of its own\n"
        "\n"
        "1 error, 0 warnings in 1 row, 0 turns, 0 images\n",
        "",
    )


def test_a_warning_alone_is_exit_code_0(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.touch()
    assert main(["validate", "rows.jsonl", "--format", "github"]) == 0
    assert capsys.readouterr().out == (
        "::warning file=rows.jsonl,line=1,col=1,title=PHI015 no-rows::this file is empty; check what wrote the file\n"
        "0 errors, 1 warning in 0 rows, 0 turns, 0 images\n"
    )


def test_json_is_one_object_a_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("1\n" + GOOD % "a")
    assert main(["validate", "rows.jsonl", "--format", "json", "--jobs", "2"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["diagnostic", "summary"]
    assert lines[1] == {
        "type": "summary",
        "rows": 2,
        "turns": 1,
        "images": 0,
        "errors": 1,
        "warnings": 0,
        "fixable": 0,
        "unsafely_fixable": 0,
        "accepted": 0,
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.jsonl"], "error: no file or folder nowhere.jsonl; give a jsonl file or a data folder\n"),
        (["."], "error: . holds no <name>_<split>.jsonl; it is not a data folder\n"),
        ([], "Error: Missing argument 'PATH…'.\n"),
        (["rows.jsonl", "--jobs", "0"], "Error: Invalid value for '--jobs': 0 is not in the range x>=1.\n"),
        (["rows.jsonl", "--media", "all"], "Error: Invalid value for '--media': 'all' is not one of"),
    ],
)
def test_what_can_not_be_done_is_exit_code_2(
    file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    file.write_text(GOOD % "a")
    assert main(["validate", *arguments]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert sentence in written.err
    assert "Traceback" not in written.err


def on_a_terminal(file: Path, **environment: str) -> str:
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **environment}
    done = subprocess.run([*COMMAND, str(file)], stdout=theirs, stderr=theirs, env=environment, check=False)
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        written = terminal.read(1 << 16).decode()
    assert done.returncode == 1
    return written


def test_a_terminal_gets_colours_unless_it_says_no(file: Path) -> None:
    file.write_text("[]\n")
    coloured = on_a_terminal(file, NO_COLOR="")
    assert "\x1b[31m\x1b[1merror PHI101\x1b[0m: the row has to be an object" in coloured
    assert "\x1b[31m" not in on_a_terminal(file, NO_COLOR="1")
    assert "\x1b[31m" not in on_a_terminal(file, NO_COLOR="", TERM="dumb")


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_check_that_takes_long_is_counted_on_a_terminal(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    file.write_text("[]\n")
    assert main(["validate", "rows.jsonl"]) == 1
    assert terminal.getvalue() == ""
    monkeypatch.setattr("phidata.commands.validate.PATIENCE_S", -1.0)
    assert main(["validate", "rows.jsonl"]) == 1
    assert "checked: 1row" in terminal.getvalue()


def much_to_say(file: Path) -> subprocess.Popen[str]:
    """A check with more findings than a pipe holds, stopped in the middle because nobody reads on."""
    file.write_text("[]\n" * 5000)
    running = subprocess.Popen([*COMMAND, str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout
    assert running.stdout.readline().endswith(":1:1: error PHI101: the row has to be an object, found a list\n")
    return running


def test_an_interrupt_is_exit_code_130(file: Path) -> None:
    running = much_to_say(file)
    running.send_signal(signal.SIGINT)
    assert running.communicate()[1].splitlines()[-1] == "interrupted"
    assert running.returncode == 130


def test_a_reader_that_goes_away_ends_the_check_quietly(file: Path) -> None:
    running = much_to_say(file)
    assert running.stdout
    assert running.stderr
    running.stdout.close()
    assert (running.stderr.read(), running.wait()) == ("", 1)
    running.stderr.close()


def test_workers_end_with_the_check(file: Path) -> None:
    file.write_text(GOOD % "a" * 4000)
    check = [*COMMAND, str(file), "--jobs", "2", "--format", "json"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 4000)
    assert done.stderr == "3,999 can be repaired by --fix\n"


def test_a_worker_that_dies_is_an_error_of_one_sentence(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr("phidata.workers.PROGRAM", program)
    file.write_text(GOOD % "a" * 4000)
    assert main(["validate", "rows.jsonl", "--jobs", "2"]) == 1
    assert capsys.readouterr().err == "error: a checking process died, killed by SIGKILL; use fewer jobs\n"


def test_a_log_is_not_begun_where_nothing_can_be_checked(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(file), "--format", "sarif"]) == 2
    sentence = f"error: no file or folder {file}; give a jsonl file or a data folder\n"
    assert capsys.readouterr() == ("", sentence)


def test_a_log_that_an_error_ends_is_closed(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("phidata.workers.PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    file.write_text(GOOD % "a" * 4000)
    assert main(["validate", "rows.jsonl", "--jobs", "2", "--format", "sarif"]) == 1
    [run] = json.loads(capsys.readouterr().out)["runs"]
    message = {"text": "a checking process died, killed by SIGKILL; use fewer jobs"}
    notes = [{"level": "error", "message": message}]
    assert run["results"] == []
    assert run["invocations"] == [{"executionSuccessful": False, "toolExecutionNotifications": notes}]


def test_explain_tells_the_long_text(capsys: pytest.CaptureFixture[str]) -> None:
    for code in ("PHI012", "phi012", "duplicate-key"):
        assert main(["explain", code]) == 0
        written = capsys.readouterr().out
        assert written.startswith("PHI012 duplicate-key (error): a key twice in one object\n\nJSON leaves open")
        assert all(len(line) <= 100 for line in written.splitlines())


def test_explain_without_a_code_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    assert "PHI203  warning  text that spells a control token of the model\n" in capsys.readouterr().out


def test_explain_as_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "PHI005", "--format", "json"]) == 0
    rule = json.loads(capsys.readouterr().out)
    fields = ["code", "name", "severity", "title", "explanation", "remedy", "example", "fixable", "repair", "source"]
    assert list(rule) == fields
    assert (rule["code"], rule["name"], rule["fixable"]) == ("PHI005", "blank-line", "safe")


def test_an_unknown_code_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "PHI0122"]) == 2
    assert capsys.readouterr().err == "error: no diagnostic 'PHI0122'; did you mean PHI012?\n"
