"""What both command lines share: exit codes, errors in a sentence, Ctrl-C, progress for logs."""

from __future__ import annotations

import re
import signal
import threading
import types

import click
import pytest

from phidata.console import progress, run
from phidata.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("no folder x; make it"), 2, "error: no folder x; make it\n"),
        (DataError("line 3 is not JSON"), 1, "error: line 3 is not JSON\n"),
        (
            OSError(28, "No space left on device", "a.jpg"),
            1,
            "error: a.jpg can not be written (No space left on device); make room and run the same command again\n",
        ),
        (DataError("row \x1b[31mr\r\t\ud800é 日\x07 is\ntwo"), 1, "error: row \\x1b[31mr  \\ud800é 日\\x07 is\ntwo\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
    ],
)
def test_an_error_is_a_sentence_and_an_exit_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fail() -> None:
        raise error

    assert run(fail, []) == code
    assert capsys.readouterr() == ("", said)


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def fail() -> None:
        raise DataError("bad")

    assert run(fail, ["--debug"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):\n")
    assert shown.endswith("phidata.errors.DataError: bad\nerror: bad\n")


def test_ctrl_c_inside_a_finaliser_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    class Late:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    @click.command()
    def work() -> None:
        Late()
        threading.Event().wait(60)

    assert run(work, []) == 130
    assert capsys.readouterr() == ("", "\ninterrupted\n")


def test_progress_off_a_terminal_is_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phidata.console.SECONDS_A_LINE", 0.0)
    with progress(3, "convert") as bar:
        bar.update()
        bar.set_postfix_str("1 failed")
        bar.update(2)
    lines = capsys.readouterr().err.splitlines()
    expected = ["convert: 1/3 rows in S s, S rows/s", *["convert: 3/3 rows in S s, S rows/s, 1 failed"] * 2]
    assert [re.sub(r"\d+\.\d", "S", line) for line in lines] == expected


def test_what_was_done_before_takes_no_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 4.0, 4.0])
    monkeypatch.setattr("phidata.console.time", types.SimpleNamespace(monotonic=lambda: next(times)))
    with progress(12, "train", "step", done=10) as bar:
        bar.update(2)
    assert capsys.readouterr().err == "train: 12/12 steps in 4.0 s, 0.5 steps/s\n"
