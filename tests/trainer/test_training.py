"""Whole runs: equal for any number of processes and shape of data; stopped by what is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

import phidata
from phidata.storage.writer import DatasetWriter
from phitrain.results import compare

from .conftest import COLOURS, Run, environment, python_line, row, train_line, write_data

FAST = ("--learning_rate", "1e-2", "--warmup_steps", "2", "--max_new_tokens", "4", "--eval_splits", "val")


def log(folder: Path, name: str) -> list[Any]:
    return [json.loads(line)[name] for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def alone(run: Run, model_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven rows in steps of four, two epochs, one process with accumulation 4."""
    output = tmp_path_factory.mktemp("alone") / "out"
    flags = ("--batch_size", "4", "--num_train_epochs", "2", "--zero", "0", *FAST)
    done = run(*train_line(model_folder, data_folder, output, *flags))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return output


def test_two_processes_train_as_one_does(run: Run, model_folder: Path, data_folder: Path, alone: Path) -> None:
    output = alone.parent / "together"
    flags = ("--batch_size", "4", "--num_train_epochs", "2", "--zero", "2", *FAST)
    done = run(*train_line(model_folder, data_folder, output, *flags), processes=2)
    assert done.returncode == 0, done.stderr
    assert log(output, "loss") == pytest.approx(log(alone, "loss"), rel=1e-5)
    assert log(output, "grad_norm") == pytest.approx(log(alone, "grad_norm"), rel=1e-4)
    assert log(output, "supervised_tokens") == log(alone, "supervised_tokens")
    one, two = weights(alone), weights(output)
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-4
    for when in ("before", "after"):
        evaluations = [json.loads((folder / f"eval_{when}.json").read_text()) for folder in (alone, output)]
        assert evaluations[0] == evaluations[1]


def test_a_run_leaves_a_model_its_log_and_its_evaluations(alone: Path, model_folder: Path) -> None:
    from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VProcessor

    before, after = weights(model_folder), Phi3VForCausalLM.from_pretrained(alone).state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert Phi3VProcessor.from_pretrained(alone).num_crops == 1
    assert log(alone, "step") == [1, 2, 3, 4]
    assert log(alone, "epoch") == [0.5, 1.0, 1.5, 2.0]
    assert log(alone, "lr") == [0.0, 0.005, 0.01, 0.005]
    assert list((alone / "tensorboard").iterdir())
    summary = json.loads((alone / "train_summary.json").read_text())
    assert (summary["steps"], summary["world_size"]) == (4, 1)
    assert [summary["first_loss"], summary["last_loss"]] == [log(alone, "loss")[0], log(alone, "loss")[-1]]
    evaluation = json.loads((alone / "eval_after.json").read_text())
    assert (evaluation["model"], evaluation["metric"]) == (str(model_folder), "accuracy")
    split = evaluation["splits"]["val"]
    assert (split["num_rows"], split["num_turns"]) == (3, 4)
    rows = [(entry["id"], entry["turn"], entry["prompt"], entry["answers"]) for entry in split["rows"]]
    assert rows == [
        ("train-4", 1, "<|image_1|>\nWhich colour?", ["green"]),
        ("train-two-turns", 1, "<|image_1|>\nWhich colour?", ["red"]),
        ("train-two-turns", 2, "<|image_2|>\nWhich colour?", ["blue"]),
        ("train-text", 1, "Say <|end|> nothing.", ["Fine."]),
    ]
    before_training = json.loads((alone / "eval_before.json").read_text())
    assert "comparison" not in before_training
    assert evaluation["comparison"] == compare(before_training, evaluation)


def test_a_model_learns_in_bf16(run: Run, model_folder: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", train=[row(colour, [colour]) for colour in COLOURS])
    flags = (
        "--bf16 --zero 0 --batch_size 3 --batch_size_per_gpu 3 --max_steps 30 --learning_rate 3e-2 --eval_splits train"
    )
    done = run(*train_line(model_folder, data, tmp_path / "out", *flags.split(), "--gradient_checkpointing"))
    assert done.returncode == 0, done.stderr
    assert "bf16 with --zero 0 is run as --zero 1" in done.stderr
    assert "the run has 30 steps, no more than its 50 warm-up steps: warming up for 3" in done.stderr
    assert log(tmp_path / "out", "loss")[-1] < 0.5
    config = json.loads((tmp_path / "out" / "train_config.json").read_text())
    assert (config["train"]["zero"], config["model"]["precision"]) == (1, "bf16")
    assert weights(tmp_path / "out")["lm_head.weight"].dtype == torch.bfloat16


def test_the_first_process_that_fails_says_why_and_the_others_are_silent(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    data = write_data(tmp_path / "data", train=[row("a", ["red"]), row("b", ["mauve"])])
    line = train_line(model_folder, data, tmp_path / "out", "--batch_size", "2", "--eval_splits", "")
    done = run(*line, processes=2)
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 1
    assert "row 'b': there is no image mauve.png" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_leaves_a_checkpoint_and_goes_on(
    run: Run, model_folder: Path, data_folder: Path, alone: Path, tmp_path: Path, number: signal.Signals
) -> None:
    flags = ("--batch_size", "4", "--num_train_epochs", "2", "--zero", "0", *FAST, "--resume_from_checkpoint", "latest")
    line = train_line(model_folder, data_folder, tmp_path / "out", *flags)
    with subprocess.Popen(python_line(line), env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for text in process.stderr:
            if text.startswith("step 1/4"):
                process.send_signal(number)
                break
        assert "Traceback" not in process.stderr.read()
        assert process.wait() == 0
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert "config.json" not in left
    assert any((tmp_path / "out").glob("checkpoint-[123]/checkpoint.json"))
    done = run(*line)
    assert done.returncode == 0, done.stderr
    assert log(tmp_path / "out", "step") == [1, 2, 3, 4]
    assert log(tmp_path / "out", "loss") == log(alone, "loss")
    assert all(torch.equal(value, weights(alone)[name]) for name, value in weights(tmp_path / "out").items())


def test_the_trained_model_is_evaluated_alike_in_any_batch_size(
    run: Run, alone: Path, data_folder: Path, tmp_path: Path
) -> None:
    for size in ("1", "3"):
        output = tmp_path / f"{size}.json"
        flags = ("--data_dir", data_folder, "--split", "train,val", "--batch_size", size, "--max_new_tokens", "4")
        done = run("-m", "phitrain", "eval", alone, *flags, "--output", output)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0].startswith("accuracy train ")
    first, second = (json.loads((tmp_path / f"{size}.json").read_text()) for size in ("1", "3"))
    assert first == second
    after = json.loads((alone / "eval_after.json").read_text())
    assert first["splits"]["val"] == after["splits"]["val"]


def test_another_shape_of_data_trains_the_same(
    run: Run, model_folder: Path, data_folder: Path, alone: Path, tmp_path: Path
) -> None:
    splits = ("train", "val")
    made = {"name": "colours", "converter": "merge", "versions": {}}
    with DatasetWriter(tmp_path / "data", **made, splits=splits, shape="parquet") as writer:
        for split in splits:
            data = phidata.load(data_folder, split)
            for number, conversation in enumerate(data):
                writer.add(split, conversation, data.image_bytes(number))
        writer.finish()
    flags = ("--batch_size", "4", "--num_train_epochs", "2", "--zero", "0", *FAST)
    done = run(*train_line(model_folder, tmp_path / "data", tmp_path / "out", *flags))
    assert done.returncode == 0, done.stderr
    assert log(tmp_path / "out", "loss") == log(alone, "loss")
