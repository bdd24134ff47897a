"""What a person is told about wrong input: one sentence with the remedy, exit code 2 for usage and 1 for data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from phidata.errors import DataError, UsageError
from phitrain.cli import main
from phitrain.commands.train import tell_crowd
from phitrain.output import OutputLock, check_output, check_space, fresh_folder, open_output, write_json

from .conftest import environment, python_line, row, write_data


@pytest.fixture
def places(model_folder: Path, tmp_path: Path) -> dict[str, str]:
    data = write_data(tmp_path / "data", train=[row("a", ["red"])], val=[row("b", ["red"])], test=[row("c", ["red"])])
    return {"--model_name_or_path": str(model_folder), "--data_dir": str(data), "--output_dir": str(tmp_path / "out")}


def tell(capsys: pytest.CaptureFixture[str], *arguments: str, **places: str) -> tuple[int, str]:
    code = main([*arguments, *(word for pair in places.items() for word in pair)])
    return code, capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--data_dir": "nowhere"}, "error: no data folder nowhere; make one with `phidata convert"),
        (
            {"--model_name_or_path": "./nowhere"},
            "error: no model folder nowhere; make one with `phitrain init nowhere`",
        ),
        ({"--model_name_or_path": "."}, "error: . holds no config.json; it is not a model folder"),
        ({"--output_dir": "."}, "error: --output_dir . is not empty; give another, or --overwrite_output_dir"),
        ({"--eval_splits": "valid"}, "; it has 'test', 'train', 'val'"),
        (
            {"--use_lora": "--strategy=full"},
            "error: --use_lora and --strategy full contradict each other; give one of them",
        ),
        ({"--offload": "parameters"}, "error: --offload parameters needs --zero 3, found --zero 2; use --zero 3"),
        ({"--set": "optimizer.lr=1"}, "error: no field 'lr' in section 'optimizer'; it has learning_rate, "),
        ({"--learning_rte": "1"}, "Error: No such option '--learning_rte'. (Did you mean one of: '--learning_rate',"),
        ({"--bf16": "--precision=fp32"}, "error: --bf16 and --precision fp32 contradict each other; give one of them"),
        (
            {"--report_to": "wandb"},
            "error: train.report_to names wandb, but it is not installed; run `pip install wandb`",
        ),
        (
            {"--resume_from_checkpoint": "nowhere"},
            "error: there is no checkpoint nowhere; give a checkpoint-<step> folder of a run, or latest",
        ),
        ({"--output_dir": f"{__file__}/x"}, "test_errors.py is a file; give the name of a folder"),
        ({"--output_dir": ""}, "error: --output_dir is missing; `phitrain train --help` lists the flags"),
    ],
)
def test_a_wrong_request_ends_at_once(
    places: dict[str, str], change: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = tell(capsys, "train", "ucf101", **{**places, **change})
    assert code == 2
    assert message in said
    assert not Path(places["--output_dir"]).exists()


def test_of_several_processes_one_says_what_is_wrong_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "attempt" / "1" / "error.json"
    file.parent.mkdir(parents=True)
    ranked = {**environment(), "RANK": "1", "TORCHELASTIC_ERROR_FILE": str(file)}
    line = python_line(["-m", "phitrain", "train", "--nope"])
    done = [subprocess.run(line, env=ranked, capture_output=True, text=True, timeout=60) for _ in range(2)]
    assert [(one.returncode, "No such option" in one.stderr) for one in done] == [(2, True), (2, False)]


def test_a_package_that_is_not_installed_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert tell(capsys, "doctor") == (
        2,
        "error: phitrain needs torch, which is not installed here; run pip install 'phidata-vision[train]'",
    )


def test_an_error_of_the_trainer_itself_is_not_taken_for_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phitrain.doctor", None)
    with pytest.raises(ModuleNotFoundError, match=r"phitrain\.doctor"):
        main(["doctor"])


def test_a_device_without_enough_memory_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def allocate(*_: object) -> int:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 23.6 GiB")

    monkeypatch.setattr("phitrain.cli.run", allocate)
    assert main(["train", "ucf101"]) == 1
    assert capsys.readouterr().err == (
        "error: the memory of the device is not enough (CUDA out of memory); take a smaller --batch_size_per_gpu, "
        "a higher --zero, --offload or LoRA: --dry-run says what each of them needs\n"
    )


def test_a_strategy_whose_package_is_missing_is_refused_before_anything_is_written(
    places: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else name)
    code, said = tell(capsys, "train", "ucf101", "--use_qlora", "--dry-run", **places)
    assert (code, said) == (
        2,
        "error: strategy.kind qlora needs the package bitsandbytes, which is not installed here; run pip install "
        "'phidata-vision[train]'",
    )


def test_an_unknown_recipe_names_the_nearest(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(capsys, "train", "ucf11", **places) == (
        2,
        "error: no recipe 'ucf11'; did you mean 'ucf101'?; "
        "`phitrain recipes` lists them, or give the path of a .toml file",
    )


def test_evaluation_finds_a_missing_place_before_it_begins(
    places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"--data_dir": places["--data_dir"], "--split": "val", "--output": str(tmp_path / "none" / "x.json")}
    code, said = tell(capsys, "eval", places["--model_name_or_path"], **flags)
    assert (code, said) == (
        2,
        f"error: --output {tmp_path}/none/x.json: there is no folder {tmp_path}/none; make it first",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--split": ","}, "error: --split names no split; give one of the data folder's, or several with commas"),
        ({"--output": "."}, "error: --output . is a folder; give the name of a file"),
    ],
)
def test_a_wrong_evaluation_ends_at_once(
    places: dict[str, str], change: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = {"--data_dir": places["--data_dir"], "--split": "val", **change}
    assert tell(capsys, "eval", places["--model_name_or_path"], **flags) == (2, message)


@pytest.mark.parametrize("flag", ["--model_name_or_path", "--data_dir"])
def test_what_a_run_reads_is_never_replaced_by_what_it_writes(
    places: dict[str, str], tmp_path: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(places[flag], earlier / "inner")
    (earlier / "train_config.json").write_text("{}")
    changed = {**places, flag: str(earlier / "inner"), "--output_dir": str(earlier)}
    assert tell(capsys, "train", "ucf101", "--overwrite_output_dir", **changed) == (
        2,
        f"error: --output_dir {earlier} would replace what {flag} {earlier}/inner names; give another folder",
    )
    assert (earlier / "inner").exists()


def test_a_recipe_whose_section_is_no_table_is_refused(
    places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text('strategy = "lora"\n')
    code, said = tell(capsys, "train", str(tmp_path / "mine.toml"), **places)
    assert (code, said) == (2, "error: configuration section 'strategy' must be a table, found 'lora'")


@pytest.mark.parametrize("lora", [["--strategy=lora"], ["--use_lora"], ["--set=strategy.kind=lora"]])
def test_a_frozen_vision_part_gets_no_adapters_however_lora_was_asked_for(
    places: dict[str, str], lora: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for pair in places.items() for word in pair]
    assert main(["train", "ucf101", *words, "--freeze_vision_model", *lora, "--dry-run", "--format=json"]) == 0
    strategy = json.loads(capsys.readouterr().out)["config"]["strategy"]
    assert (strategy["kind"], strategy["freeze_vision"]) == ("lora", True)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("x/checkpoint.json", "error: x is a checkpoint, not a model folder; `phitrain export x OUT` makes one of it"),
        (
            "x/train_config.json",
            "error: x holds a run that has not ended, and no model yet; go on with it, or export a checkpoint of it",
        ),
        ("x", "error: x is a file; give the path of a model folder, or a hub id"),
    ],
)
def test_what_is_not_yet_a_model_is_told_apart(
    places: dict[str, str],
    file: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("{}")
    assert tell(capsys, "eval", "x", "--split", "val", "--data_dir", places["--data_dir"]) == (2, message)


def test_adapters_are_no_model_to_train_or_to_merge_into(
    places: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, base = tmp_path / "adapters", places["--model_name_or_path"]
    folder.mkdir()
    said = json.dumps({"peft_type": "LORA", "base_model_name_or_path": base})
    (folder / "adapter_config.json").write_text(said)
    (folder / "adapter_model.safetensors").write_bytes(b"")
    assert tell(capsys, "train", "ucf101", **{**places, "--model_name_or_path": str(folder)}) == (
        2,
        f"error: {folder} holds adapters, which are not trained further; start from the model that `phitrain merge "
        f"BASE {folder} OUT` writes",
    )
    assert tell(capsys, "merge", str(folder), str(folder), str(tmp_path / "out")) == (
        2,
        f"error: {folder} holds adapters; give the model that they were trained on as BASE",
    )


def test_more_loader_processes_than_cores_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    tell_crowd(4)
    assert capsys.readouterr().err == ""
    tell_crowd(5)
    assert capsys.readouterr().err == "10 processes open images on 8 cores; give fewer than --num_workers 5\n"


def test_a_folder_that_no_run_wrote_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="it was not written by `phitrain train` and is not overwritten"):
        open_output(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "x"
    (tmp_path / "train_config.json").write_text("{}")
    check_output(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").exists()
    open_output(tmp_path, overwrite=True)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_never_write_one_folder(tmp_path: Path) -> None:
    output = tmp_path / "a" / "out"
    lock = OutputLock(output)
    lock.take()
    code = f"from pathlib import Path; from phitrain.output import OutputLock; OutputLock(Path({str(output)!r})).take()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert f"UsageError: --output_dir {output} is being written by another run; wait for it" in done.stderr
    open_output(output, overwrite=False)
    lock.release()
    assert not output.exists()


def test_a_folder_that_was_written_stays_when_the_run_ends(tmp_path: Path) -> None:
    lock = OutputLock(tmp_path / "out")
    lock.take()
    (tmp_path / "out" / "log.jsonl").write_text("")
    lock.release()
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["log.jsonl"]


def test_a_place_that_is_not_writable_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_output(tmp_path / "a" / "b", overwrite=False)
    monkeypatch.setattr("os.access", lambda place, _mode: place != tmp_path)
    with pytest.raises(UsageError, match=r"a/b: .* is not writable; name another folder"):
        check_output(tmp_path / "a" / "b", overwrite=False)


def test_a_disk_without_room_is_found_before_training(tmp_path: Path) -> None:
    check_space(tmp_path, 1)
    with pytest.raises(UsageError, match=r"the trained model takes 1000000000\.00 GB; make room there"):
        check_space(tmp_path, 10**18)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def fill(error: Exception) -> None:
        with fresh_folder(tmp_path / "new") as staging:
            (staging / "half").write_text("x")
            raise error

    for error in (OSError(28, "No space left"), SafetensorError("No space left")):
        with pytest.raises(DataError, match=r"can not be written: .*No space left; make room there or name another"):
            fill(error)
        assert list(tmp_path.iterdir()) == []


def test_a_json_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1, "é"]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "x": [\n    1,\n    "é"\n  ]\n}\n'
    with pytest.raises(TypeError):
        write_json(tmp_path / "b.json", {"x": object()})
    assert not (tmp_path / "b.json").exists()
