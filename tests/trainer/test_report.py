"""What a run says while it goes: the log, the trackers, the lines; and how a run that goes on takes them up."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from phidata.errors import DataError, UsageError
from phitrain.log import cut_log, read_log
from phitrain.report import Countdown, Step, note, open_report
from phitrain.trackers import choose_trackers

FIRST = Step(
    step=1,
    epoch=0.02,
    loss=1.23456,
    grad_norm=0.5,
    grad_norms={"llm": 0.4, "vision": 0.3},
    lr=4e-5,
    lrs={"llm": 4e-5, "vision": 1e-5},
    tokens_per_s=12345.0,
    images_per_s=3.2,
    samples_per_s=1.6,
    data_wait_share=0.01,
    peak_memory_bytes=1288490189,
    mfu=0.414,
    hfu=0.5,
    supervised_tokens=77,
    seconds=2.0,
)
BAD = dataclasses.replace(
    FIRST, step=2, loss=float("nan"), grad_norm=float("inf"), grad_norms={"llm": float("inf")}, skipped=True, mfu=None
)
EVALUATION = {"splits": {"val": {"scores": {"accuracy": {"mean": 0.25, "low": 0.0, "high": 0.5}}}}}


def step(number: int) -> Step:
    return dataclasses.replace(FIRST, step=number)


def write(folder: Path, *steps: Step, total: int = 4, **more: Any) -> None:
    with open_report(folder, total, log_every=1, bar=False, **more) as report:
        report.begin()
        for one in steps:
            report(one)


def board(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every number that TensorBoard would show, with its step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(e.step, round(e.value, 4)) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_a_step_is_a_line_of_plain_numbers(tmp_path: Path) -> None:
    write(tmp_path, FIRST, BAD)
    first, bad = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    assert first.pop("time") <= bad.pop("time")
    assert first == {**dataclasses.asdict(FIRST), "samples": [], "resumed": False}
    assert (bad["loss"], bad["grad_norm"], bad["grad_norms"], bad["skipped"]) == (None, None, {"llm": None}, True)


def test_the_documentation_names_every_field() -> None:
    text = (Path(__file__).parents[2] / "docs" / "watching.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \|", text, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert named == [*(field.name for field in dataclasses.fields(Step)), "time", "resumed"]


def test_lines_for_people_say_how_long_it_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, FIRST, BAD, step(4))
    lines = capsys.readouterr().err.splitlines()
    speed = "12,345 tokens/s  3.2 images/s"
    start = f"step 1/4  epoch 0.02  loss 1.2346  grad 0.5  lr 4.00e-05  {speed}  MFU 41 %  1.20 GiB"
    assert lines == [
        f"{start}  00:00 left",
        f"step 2/4  epoch 0.02  loss nan  grad inf  lr 4.00e-05  {speed}  1.20 GiB  skipped  00:00 left",
        start.replace("step 1", "step 4"),
    ]


def test_lines_come_every_few_steps_and_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_report(tmp_path, 5, log_every=2, bar=True) as report:
        report.begin()
        for number in range(1, 6):
            report(step(number))
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["2/5", "4/5", "5/5"]
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3, 4, 5]


def test_the_first_step_of_a_process_does_not_count_once_there_is_another() -> None:
    times = iter([100.0, 130.0, 132.0, 134.0])
    countdown = Countdown(14, 10, clock=lambda: next(times))
    assert [countdown.left(number) for number in (11, 12, 13)] == [90.0, 4.0, 2.0]


def test_tensorboard_shows_steps_and_scores(tmp_path: Path) -> None:
    with open_report(tmp_path, 2, log_every=1, bar=False) as report:
        report.evaluation(EVALUATION, 0)
        report(FIRST)
        report(BAD)
    shown = board(tmp_path)
    assert shown["eval/accuracy_val"] == [(0, 0.25)]
    assert shown["train/loss"] == [(1, 1.2346)]
    assert shown["train/grad_norm_vision"] == [(1, 0.3)]
    assert shown["train/skipped"] == [(1, 0.0), (2, 1.0)]


def test_a_run_goes_on_after_its_checkpoint_and_forgets_what_came_later(tmp_path: Path) -> None:
    write(tmp_path, *map(step, (1, 2, 3)))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 4, "lo')
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 2, 3]
    write(tmp_path, *map(step, (3, 4)), resume_at=2)
    lines = read_log(tmp_path / "log.jsonl")
    assert [(line["step"], line["resumed"]) for line in lines] == [(1, False), (2, False), (3, True), (4, False)]
    assert [number for number, _ in board(tmp_path)["train/loss"]] == [1, 2, 3, 4]


def test_a_run_from_the_beginning_starts_a_log_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, step(1), step(2))
    write(tmp_path, step(1))
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1]


def test_steps_that_a_log_has_lost_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 1}\n\0\0\0\0\n{"step": 3}\n')
    write(tmp_path, step(4), resume_at=3)
    said = f"{tmp_path}/log.jsonl lacks the steps 2 to 3; it goes on without"
    assert capsys.readouterr().err.splitlines()[0] == said
    assert [line["step"] for line in read_log(tmp_path / "log.jsonl")] == [1, 4]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1}\n[2]\n{"step": 3}\n')
    with pytest.raises(DataError, match=r"log\.jsonl:2: b'\[2\]' is not a step; remove the line"):
        read_log(log)
    assert cut_log(log, 3) == 1
    assert log.read_text() == '{"step": 1}\n'


def test_a_note_is_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    note("warming up for 3")
    assert capsys.readouterr() == ("", "warming up for 3\n")


class Kept(list[Any]):
    """What a tracker was told, in order."""

    def tell(self, name: str) -> Any:
        return lambda *arguments, **named: self.append((name, *arguments, *([named] if named else [])))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kept:
    """wandb and trackio, as far as they are used; no account is set up."""
    kept = Kept()
    run = types.SimpleNamespace(
        define_metric=kept.tell("define"), log=kept.tell("wandb log"), finish=kept.tell("wandb finish")
    )

    def init(**named: Any) -> Any:
        kept.append(("wandb init", named))
        return run

    def trackio_init(**named: Any) -> None:
        sys.stdout.write("* look at it there\n")
        kept.append(("trackio init", named))

    fakes = {
        "wandb": {"init": init, "Settings": dict},
        "trackio": {"init": trackio_init, "log": kept.tell("trackio log"), "finish": kept.tell("trackio finish")},
    }
    for name, parts in fakes.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, origin=f"{name}.py")
        for part, value in parts.items():
            setattr(module, part, value)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_PROJECT", "TRACKIO_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return kept


@pytest.mark.usefixtures("installed")
def test_auto_takes_what_is_installed_and_set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without = "nothing is sent to wandb: no account is set up; run `wandb login`, or set WANDB_API_KEY, or "
    assert choose_trackers(["auto"]) == (("trackio",), [f"{without}WANDB_MODE=offline"])
    assert choose_trackers([]) == ((), [])
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password 0123\n")
    (tmp_path / "netrc").chmod(0o600)
    assert choose_trackers(["auto"]) == (("wandb", "trackio"), [])
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_trackers(["auto"])[0] == ("trackio",)
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "netrc").unlink()
    assert choose_trackers(["wandb"]) == (("wandb",), [])


def test_a_tracker_that_is_not_there_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phitrain.trackers.find_spec", lambda _: None)
    assert choose_trackers(["auto"]) == ((), [])
    said = "train.report_to names trackio, but it is not installed; run `pip install trackio`, or leave it out"
    with pytest.raises(UsageError, match=said):
        choose_trackers(["trackio"])


def test_a_folder_that_wandb_left_is_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert choose_trackers(["auto"]) == ((), [])


def test_trackers_get_every_number(installed: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run-7"
    folder.mkdir()
    with open_report(
        folder, 1, log_every=1, bar=False, trackers=("wandb", "trackio"), config={"train": {"seed": 1}}
    ) as report:
        report(FIRST)
        report.evaluation(EVALUATION, 1)
    numbers = {name: value for name, value in FIRST.numbers().items() if name.startswith("train/l")}
    assert numbers == {"train/loss": 1.23456, "train/lr": 4e-5, "train/lr_llm": 4e-5, "train/lr_vision": 1e-5}
    run_id = (folder / "wandb_run_id").read_text()
    named = {"project": "phitrain", "name": "run-7", "config": {"train": {"seed": 1}}}
    assert installed == [
        (
            "wandb init",
            {**named, "id": run_id, "resume": "allow", "dir": str(folder), "settings": {"silent": True}},
        ),
        ("define", "step"),
        ("define", "*", {"step_metric": "step"}),
        ("trackio init", {**named, "resume": "never"}),
        ("wandb log", {"step": 1, **FIRST.numbers()}),
        ("trackio log", FIRST.numbers(), {"step": 1}),
        ("wandb log", {"step": 1, "eval/accuracy_val": 0.25}),
        ("trackio log", {"eval/accuracy_val": 0.25}, {"step": 1}),
        ("trackio finish",),
        ("wandb finish",),
    ]
    assert capsys.readouterr().out == ""


def test_a_run_that_goes_on_is_the_same_run_for_a_tracker(installed: Kept, tmp_path: Path) -> None:
    write(tmp_path, FIRST, trackers=("wandb", "trackio"))
    write(tmp_path, step(2), trackers=("wandb", "trackio"), resume_at=1)
    first, second = (named for name, *rest in installed if name == "wandb init" for named in rest)
    assert first == second
    assert [named["resume"] for name, *rest in installed if name == "trackio init" for named in rest] == [
        "never",
        "allow",
    ]


def test_a_tracker_that_fails_is_said_once_and_the_run_goes_on(
    installed: Kept, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("trackio.log", fail)
    write(tmp_path, FIRST, step(2), trackers=("trackio",), total=9)
    said = "trackio has failed (no route to host) and gets nothing more; log.jsonl has everything"
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("trackio")] == [said]
    assert [name for name, *_ in installed] == ["trackio init"]
    assert len(read_log(tmp_path / "log.jsonl")) == 2
