"""Runs that are killed, stopped and moved go on as if nothing had been; what can not go on says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from phidata.errors import DataError, UsageError
from phitrain.checkpoint import (
    MARK,
    Checkpoint,
    find_checkpoint,
    keep_newest,
    refuse_other_tensors,
    score_checkpoint,
)
from phitrain.config import config_from

from .conftest import Run, train_line

pytestmark = pytest.mark.processes

LINE = "--batch_size 4 --max_steps 5 --learning_rate 1e-2 --warmup_steps 1 --save_steps 1 --zero 0"
FLAGS = tuple(LINE.split())
RESUMING = ("--eval_splits", "", "--resume_from_checkpoint", "latest")


def experiment(run: Run, name: str, model: Path, folder: Path) -> dict[str, Any]:
    done = run("-W", "ignore", "-m", "tests.trainer.resuming", name, model, folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_killed_run_goes_on_bit_for_bit(run: Run, model_folder: Path, tmp_path: Path) -> None:
    found = experiment(run, "kills", model_folder, tmp_path)
    assert list(found) == ["full", "frozen-vision", "lora", "qlora"]
    for result in found.values():
        assert all(-9 in codes for codes in result["killed"])
        assert result["differing"] == []
        assert result["tracked"] == [1, 2, 3, 4, 5]
        assert result["summaries"][0] == result["summaries"][1]


def test_a_run_goes_on_with_other_processes_and_in_another_stage(run: Run, model_folder: Path, tmp_path: Path) -> None:
    found = experiment(run, "moves", model_folder, tmp_path)
    unmoved = found.pop("unmoved")
    assert len(found) == 3
    for result in found.values():
        assert set(result["codes"]) == {0}
        assert result["rows"] == unmoved["rows"]
        assert result["losses"] == pytest.approx(unmoved["losses"], rel=1e-6)


def test_a_gradient_that_is_not_finite_is_skipped_on_all_ranks_and_named(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    found = experiment(run, "guards", model_folder, tmp_path)
    assert len(found) == 9
    for name, result in found.items():
        assert result["skipped"] == [3], name
        assert result["named"], name
        assert len(result["told"]) == 1, name
        assert result["state_is_unchanged"], name
        assert result["goes_on"], name
    assert found["fp16, zero 1"]["scales"] == [4096, 2048]


def test_what_can_not_go_on_says_why(run: Run, model_folder: Path, tmp_path: Path) -> None:
    found = experiment(run, "ends", model_folder, tmp_path)
    assert {name: one["codes"] for name, one in found.items()} == {
        "gradients": [1],
        "scale": [1],
        "disk": [1],
        "worker": [1],
        "row": [1, 1],
        "other rows": [2, 2],
    }
    for name in ("gradients", "scale"):
        assert "the gradient was not finite in 20 steps in a row, up to step" in found[name]["said"]
    assert "error: process 1 has other rows than process 0; give all of them" in found["other rows"]["said"]
    assert found["row"]["said"] == "error: row 'one': its image can not be opened"
    assert "can not be written: [Errno 27] File too large; make room there" in found["disk"]["said"]
    assert found["disk"]["left"] == ["checkpoint-2"]
    assert "a process that opens images for rank 0 has died" in found["worker"]["said"]


@pytest.fixture(scope="module")
def finished(run: Run, model_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five steps with a checkpoint after each but the last."""
    output = tmp_path_factory.mktemp("finished") / "out"
    done = run(*train_line(model_folder, data_folder, output, *FLAGS, "--eval_splits", ""))
    assert done.returncode == 0, done.stderr
    return output


def copied(finished: Path, folder: Path) -> Path:
    """The run as it was before its end."""
    shutil.copytree(finished, folder)
    (folder / "train_summary.json").unlink()
    return folder


def test_a_damaged_checkpoint_is_named_and_the_one_before_used(
    run: Run, finished: Path, model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    output = copied(finished, tmp_path / "out")
    state = output / "checkpoint-4" / "state.safetensors"
    spoiled = bytearray(state.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    state.write_bytes(spoiled)
    cut = output / "checkpoint-3" / "state.safetensors"
    cut.write_bytes(cut.read_bytes()[:-100])
    done = run(*train_line(model_folder, data_folder, output, *FLAGS, *RESUMING))
    assert done.returncode == 0, done.stderr
    assert "state.safetensors is damaged: its sha256 is not the one in checkpoint.json" in done.stderr
    assert "the checkpoint is not whole; the checkpoint before it is used" in done.stderr
    assert f"going on from {output}/checkpoint-2" in done.stderr
    assert (output / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()
    (output / "checkpoint-9").mkdir()
    with pytest.raises(DataError, match=r"checkpoint-9 has no checkpoint\.json.*; give .*checkpoint-4"):
        find_checkpoint(output, str(output / "checkpoint-9"))


def test_what_has_changed_is_refused_with_the_difference(
    run: Run, finished: Path, model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    output = copied(finished, tmp_path / "out")
    changed = [*FLAGS, *RESUMING, "--learning_rate", "5e-3"]
    done = run(*train_line(model_folder, data_folder, output, *changed))
    assert done.returncode == 2
    assert "optimizer.learning_rate was 0.01 and is 0.005" in done.stderr
    assert "--allow_changed" in done.stderr
    done = run(*train_line(model_folder, data_folder, output, *changed, "--allow_changed"))
    assert done.returncode == 0, done.stderr


def test_a_finished_run_is_left_as_it_is(run: Run, finished: Path, model_folder: Path, data_folder: Path) -> None:
    before = (finished / "model.safetensors").stat().st_mtime_ns
    done = run(*train_line(model_folder, data_folder, finished, *FLAGS, *RESUMING))
    assert done.returncode == 0
    assert "holds a finished run" in done.stderr
    assert (finished / "model.safetensors").stat().st_mtime_ns == before


def test_the_newest_and_the_best_checkpoints_are_kept(finished: Path, tmp_path: Path) -> None:
    output = copied(finished, tmp_path / "out")
    for step, score in ((1, 0.5), (2, 0.9), (3, 0.1), (4, 0.2)):
        score_checkpoint(output, step, score)
    keep_newest(output, 1)
    assert sorted(path.parent.name for path in output.glob(f"checkpoint-*/{MARK}")) == ["checkpoint-2", "checkpoint-4"]


def test_a_run_that_goes_on_in_another_folder_does_not_take_up_what_lies_there(
    run: Run, finished: Path, model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    output = copied(finished, tmp_path / "out")
    flags = (*FLAGS, "--eval_splits", "", "--resume_from_checkpoint", str(finished / "checkpoint-4"))
    done = run(*train_line(model_folder, data_folder, output, *flags))
    assert done.returncode == 2
    assert f"--output_dir {output} is not empty; give another, or --overwrite_output_dir" in done.stderr
    done = run(*train_line(model_folder, data_folder, output, *flags, "--overwrite_output_dir"))
    assert done.returncode == 0, done.stderr
    assert (output / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()
    assert [path.name for path in output.glob("checkpoint-*")] == []


def test_a_damaged_checkpoint_does_not_end_the_run_that_wrote_it(tmp_path: Path) -> None:
    for step, mark in ((1, '{"score": 0.5}'), (2, '{"scor'), (3, "[]"), (4, '{"score": null}'), (5, "{}")):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / MARK).write_text(mark)
    score_checkpoint(tmp_path, 2, 0.9)
    keep_newest(tmp_path, 2)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-4", "checkpoint-5"]


def test_latest_of_nothing_is_the_beginning(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path, "latest") == (None, [])
    with pytest.raises(UsageError, match="there is no checkpoint"):
        find_checkpoint(tmp_path, str(tmp_path / "checkpoint-3"))


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ({"kind": "full"}, {"kind": "lora"}, "strategy.kind was 'full' and is 'lora'"),
        ({"kind": "lora"}, {"kind": "qlora", "lora_rank": 8}, "strategy.lora_rank was 64 and is 8"),
        (
            {"kind": "frozen-vision"},
            {"kind": "frozen-vision", "train_projector": True},
            "strategy.train_projector was False and is True",
        ),
    ],
)
def test_other_tensors_are_refused_before_the_run_is_touched(
    then: dict[str, Any], now: dict[str, Any], told: str
) -> None:
    checkpoint = Checkpoint(folder=Path("o/checkpoint-2"), facts={"config": config_from({"strategy": then}).as_dict()})
    refuse_other_tensors(checkpoint, config_from({"strategy": then}, {"train": {"batch_size": 2}}))
    with pytest.raises(UsageError, match=f"o/checkpoint-2 is of a run that trained other tensors: {told}; go on"):
        refuse_other_tensors(checkpoint, config_from({"strategy": now}))
