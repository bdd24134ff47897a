"""A full disk under all that the trainer writes: a sentence that names the file, and nothing that looks whole."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from phidata import DataError, UsageError
from phitrain.config import Config
from phitrain.create import create_model_folder
from phitrain.log import cut_log
from phitrain.merge import merge
from phitrain.output import ENVIRONMENT, RUN_CONFIG, beginning, write_json, writing
from phitrain.page.write import write_page
from tests.hostile.disk import LimitedFolder

from .tuned import PEFT_WARNS, save_tuned, tuned

Write = Callable[[Path], object]
LINE = b'{"step": 1, "loss": 1.0}\n'


def page(folder: Path) -> None:
    out, config = folder / "report.html", Config().as_dict()
    write_page(out, config=config, log=(), evaluations=(), comparison={}, images=lambda *_: [], environment={})


WRITERS: dict[str, Write] = {
    "report": page,
    "json": lambda folder: write_json(folder / "eval_after.json", ["x"] * 200),
    "init": lambda folder: create_model_folder(folder / "model", "tiny"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_does_not_fit_is_named_and_leaves_nothing(write: Write, tmp_path: Path) -> None:
    with LimitedFolder(tmp_path).room(100), pytest.raises(DataError, match=re.escape(str(tmp_path))):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []
    write(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@PEFT_WARNS
def test_a_merge_that_does_not_fit_leaves_nothing(model_folder: Path, tmp_path: Path) -> None:
    save_tuned(*tuned(model_folder, "lora"), tmp_path / "lora")
    with LimitedFolder(tmp_path).room(1 << 20), pytest.raises(DataError, match=r"can not be written: .*; make room"):
        merge(str(model_folder), tmp_path / "lora", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["lora"]
    merge(str(model_folder), tmp_path / "lora", tmp_path / "out")


def test_a_log_that_can_not_be_cut_stays(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(LINE * 9)
    with LimitedFolder(tmp_path).room(20), pytest.raises(DataError, match=r"log\.jsonl can not be written \(File too"):
        cut_log(log, 1)
    assert log.read_bytes() == LINE * 9
    assert list(tmp_path.iterdir()) == [log]


def test_a_log_on_a_full_disk_is_named() -> None:
    with pytest.raises(DataError, match=r"/dev/full can not be written \(No space left on device\); make room"):
        note(Path("/dev/full"))


def note(log: Path) -> None:
    with writing(log):
        log.write_bytes(LINE)


def test_a_run_that_can_not_begin_can_begin_again(tmp_path: Path) -> None:
    for name in (RUN_CONFIG, ENVIRONMENT):
        (tmp_path / name).touch()
    with pytest.raises(UsageError), beginning(tmp_path):
        raise UsageError("no room")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_has_begun_is_left_as_it_is(tmp_path: Path) -> None:
    for name in (RUN_CONFIG, ENVIRONMENT, "log.jsonl"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError), beginning(tmp_path):
        raise UsageError("no room")
    assert len(list(tmp_path.iterdir())) == 3
