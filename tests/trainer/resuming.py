"""Runs that are killed, stopped, broken off and gone on with; a program of its own, which prints JSON.

python -m tests.trainer.resuming EXPERIMENT MODEL FOLDER → what the function of that name in `EXPERIMENTS` returns
"""

from __future__ import annotations

import json
import random
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .conftest import turn, write_data
from .killing import (
    KINDS,
    Ended,
    Patch,
    at_moment,
    differing,
    import_everything,
    kill,
    launch,
    moments_by_kind,
    outcome,
    recording,
    terminate,
)

STEPS = 5
SKIPPED = 3  # the step whose gradient is spoiled
Found = dict[str, Any]
Changes = dict[str, dict[str, Any]]  # section → fields of a configuration


def main(experiment: str, model: str, folder: str) -> None:
    import_everything()
    place = Place(Path(model), Path(folder))
    sys.stdout.write(json.dumps(EXPERIMENTS[experiment](place)) + "\n")


class Place:
    """The model and the rows that every run here has, and the folder below which the runs lie."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.model, self.folder = model, folder
        self.data = write_rows(folder / "data")

    def values(self, name: str, **changes: dict[str, Any]) -> Changes:
        """A configuration for the run of that name: five steps of four rows in two and a half epochs, checkpoints and
        evaluations after 2 and 4."""
        plain: Changes = {
            "model": {"name_or_path": str(self.model), "precision": "fp32", "num_crops": 1},
            "strategy": {},
            "data": {"dir": str(self.data), "questions": "one", "answer": "random"},
            "optimizer": {"learning_rate": 1e-2, "warmup_steps": 1},
            "train": {
                "output_dir": str(self.folder / name),
                "max_steps": STEPS,
                "batch_size": 4,
                "batch_size_per_gpu": 2,
                "zero": 0,
                "save_steps": 2,
                "tqdm": False,
                "resume_from_checkpoint": "latest",
            },
            "eval": {"splits": ["val"], "every": 2, "before": False, "max_new_tokens": 2},
        }
        return {section: {**fields, **changes.get(section, {})} for section, fields in plain.items()}

    def output(self, name: str) -> Path:
        return self.folder / name


def write_rows(folder: Path) -> Path:
    """Two rows with a picture, one of them with two questions, and three without; each answer in three ways."""
    rows = [
        ("two", [turn(["red.png"], "Which colour?", "red"), turn([], "And in other words?", "crimson")]),
        ("one", [turn(["blue.png"], "Which colour is it?", "blue")]),
        *((f"text {number}", [turn([], f"Say {number}.", "x" * number)]) for number in (1, 2, 5)),
    ]
    told = [{"id": name, "source": "colours", "conversations": [accepting(one) for one in of]} for name, of in rows]
    return write_data(folder, train=told, val=told[2:4])


def accepting(answered: dict[str, Any]) -> dict[str, Any]:
    answer = answered["assistant"]
    return {**answered, "answers": [answer, f"{answer} it is", f"so {answer}"]}


# name of a run → its number of processes, and what is its own in the configuration
KILLED: dict[str, tuple[int, Changes]] = {
    "full": (1, {"data": {"num_workers": 1}}),
    "frozen-vision": (
        2,
        {"strategy": {"kind": "frozen-vision"}, "model": {"precision": "bf16"}, "train": {"zero": 1}},
    ),
    "lora": (
        2,
        {
            "strategy": {"kind": "lora", "lora_rank": 4, "lora_dropout": 0.2},
            "model": {"precision": "fp16"},
            "train": {"zero": 2},
            "eval": {"every": 1},
        },
    ),
    "qlora": (
        1,
        {
            "strategy": {"kind": "qlora", "lora_rank": 4, "lora_dropout": 0.2},
            "model": {"precision": "bf16"},
            "train": {"zero": 3},
        },
    ),
}


def kills(place: Place) -> Found:
    """Each run of `KILLED` without a disturbance, and once killed at one moment of each kind and gone on with."""
    return {name: killed_and_gone_on(place, name, *of) for name, of in KILLED.items()}


def killed_and_gone_on(place: Place, name: str, processes: int, changes: Changes) -> Found:
    calm = f"{name}, undisturbed"
    names = place.folder / f"{name}.moments"
    done(launch(place.values(calm, **changes), processes=processes, patches=[recording(place.output(calm), names)]))
    found = moments_by_kind(names, processes)
    draw = random.Random(name)
    moments = sorted((draw.choice(found[kind]) for kind in KINDS), key=lambda moment: (moment.step, moment.at))
    codes = []
    for moment in moments:
        at = at_moment(place.output(name), moment.rank, moment.name, kill)
        codes.append(launch(place.values(name, **changes), processes=processes, patches=[at]).codes)
    done(launch(place.values(name, **changes), processes=processes))
    return {
        "killed": codes,
        "differing": differing(outcome(place.output(calm)), outcome(place.output(name))),
        "tracked": tracked_steps(place.output(name)),
        "summaries": [summary(place.output(one)) for one in (calm, name)],
    }


def done(ended: Ended) -> Ended:
    """The end of a run that came to its end."""
    assert not any(ended.codes), ended.said
    return ended


def tracked_steps(folder: Path) -> list[int]:
    """The steps that TensorBoard shows a loss for."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [event.step for event in events.Scalars("train/loss")]


def summary(folder: Path) -> Found:
    """What a summary says of the run that does not depend on the machine."""
    whole = json.loads((folder / "train_summary.json").read_text("utf-8"))
    return {name: whole[name] for name in ("steps", "first_loss", "last_loss", "skipped_steps", "trained_parameters")}


# name of a run → its processes, where it is stopped and where it goes on, each with its part of the configuration
MOVED: dict[str, tuple[tuple[int, Changes], tuple[int, Changes]]] = {
    "2 processes, zero 2, to 1, zero 0": ((2, {"train": {"zero": 2}}), (1, {"train": {"zero": 0}})),
    "2 processes, zero 2, to 2, zero 3": ((2, {"train": {"zero": 2}}), (2, {"train": {"zero": 3}})),
    "1 process, zero 3, to 2, zero 1, offload": (
        (1, {"train": {"zero": 3}}),
        (2, {"train": {"zero": 1, "offload": "optimizer"}}),
    ),
}


def moves(place: Place) -> Found:
    """A run in one process and ZeRO stage 0; and runs that are asked to stop, and go on elsewhere."""
    done(launch(place.values("unmoved"), patches=[noting_rows(place.folder / "unmoved.rows")]))
    found = {"unmoved": {"losses": losses(place.output("unmoved")), "rows": rows_by_step(place.folder, "unmoved")}}
    for name, ((processes, changes), (other_processes, other_changes)) in MOVED.items():
        note = noting_rows(place.folder / f"{name}.rows")
        stop = at_moment(place.output(name), processes - 1, "2 backward 1", terminate)
        codes = launch(place.values(name, **changes), processes=processes, patches=[note, stop]).codes
        stopped = sorted(folder.name for folder in place.output(name).glob("checkpoint-*"))
        done(launch(place.values(name, **other_changes), processes=other_processes, patches=[note]))
        found[name] = {
            "codes": codes,
            "stopped": stopped,
            "losses": losses(place.output(name)),
            "rows": rows_by_step(place.folder, name),
        }
    return found


def losses(folder: Path) -> list[float]:
    return [step["loss"] for step in steps(folder)]


def steps(folder: Path) -> list[Found]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def noting_rows(file: Path) -> Patch:
    """Write to `file`.<rank> a line a step: its number and the rows that this rank trains in it."""

    def patch(rank: int) -> None:
        from phitrain.batch import Batch
        from phitrain.loop import Loop

        step, count = Loop._step, Loop._count
        at = [0]

        def begun(loop: Loop, number: int, *rest: Any) -> bool:
            at[0] = number
            return step(loop, number, *rest)

        def noted(loop: Loop, micros: Sequence[Batch], *rest: Any) -> Any:
            data = loop._course.samples.data
            rows = [data[slot.row].id for micro in micros for slot in micro.slots if not slot.filler]
            with file.with_name(f"{file.name}.{rank}").open("a", encoding="utf-8") as opened:
                opened.write(json.dumps([at[0], rows]) + "\n")
            return count(loop, micros, *rest)

        Loop._step, Loop._count = begun, noted  # type: ignore[method-assign, assignment]

    return patch


def rows_by_step(folder: Path, name: str) -> list[list[str]]:
    """The rows of each step, over all ranks."""
    rows: dict[int, list[str]] = {}
    for file in sorted(folder.glob(f"{name}.rows.*")):
        for line in file.read_text("utf-8").splitlines():
            number, of_rank = json.loads(line)
            rows[number] = sorted(rows.get(number, []) + of_rank)
    return [rows[number] for number in sorted(rows)]


# name of a run → its processes and its part of the configuration; the last rank's gradient is spoiled in one step
SPOILED: dict[str, tuple[int, Changes]] = {
    "fp32, zero 0": (1, {}),
    "fp32, zero 1": (1, {"train": {"zero": 1}}),
    "bf16, zero 2": (1, {"train": {"zero": 2}, "model": {"precision": "bf16"}}),
    "fp32, zero 3": (1, {"train": {"zero": 3}}),
    "fp16, zero 1": (1, {"train": {"zero": 1}, "model": {"precision": "fp16"}}),
    "fp32, zero 0, 2 processes": (2, {}),
    "bf16, zero 1, 2 processes": (2, {"train": {"zero": 1}, "model": {"precision": "bf16"}}),
    "fp32, zero 2, 2 processes": (2, {"train": {"zero": 2}}),
    "bf16, zero 3, 2 processes": (2, {"train": {"zero": 3}, "model": {"precision": "bf16"}}),
}


def guards(place: Place) -> Found:
    """Runs in which one step's gradient is not finite on one rank, with a checkpoint after every step."""
    found = {}
    for name, (processes, changes) in SPOILED.items():
        train = {"max_steps": SKIPPED + 1, "save_steps": 1, **changes.get("train", {})}
        values = place.values(name, **{**changes, "train": train, "eval": {"splits": [], "every": None}})
        patches = [noting_rows(place.folder / f"{name}.rows"), spoiling(processes - 1, range(SKIPPED, SKIPPED + 1))]
        ended = done(launch(values, processes=processes, patches=patches))
        found[name] = guarded(place, name, ended)
    return found


def guarded(place: Place, name: str, ended: Ended) -> Found:
    log, output = steps(place.output(name)), place.output(name)
    facts = [json.loads((output / f"checkpoint-{at}" / "checkpoint.json").read_text()) for at in (SKIPPED - 1, SKIPPED)]
    return {
        "skipped": [step["step"] for step in log if step["skipped"]],
        "named": sorted(log[SKIPPED - 1]["samples"]) == rows_by_step(place.folder, name)[SKIPPED - 1],
        "told": [line for line in ended.said.splitlines() if "was skipped" in line],
        "state_is_unchanged": facts[0]["files"]["state.safetensors"] == facts[1]["files"]["state.safetensors"],
        "scales": [one["loss_scale"].get("cur_scale") for one in facts],
        "goes_on": log[-1]["loss"] is not None and log[-1]["grad_norm"] is not None,
    }


def ends(place: Place) -> Found:
    """What runs say that can not go on: their exit codes, last words, and checkpoints."""
    long = {"max_steps": 30, "batch_size": 1, "batch_size_per_gpu": 1}
    broken: dict[str, tuple[int, Changes, Patch]] = {
        "gradients": (1, {"train": long}, spoiling(0, range(2, 99))),
        "scale": (1, {"train": {**long, "zero": 1}, "model": {"precision": "fp16"}}, spoiling(0, range(2, 99))),
        "disk": (1, {}, at_moment(place.output("disk"), 0, "3 update 1", fill_disk)),
        "worker": (1, {"data": {"num_workers": 1}}, dying_worker),
        "row": (2, {"train": {"zero": 1}}, unreadable_row),
        "other rows": (2, {"train": {"zero": 1}}, other_rows(place.folder / "other")),
    }
    found = {}
    for name, (processes, changes, patch) in broken.items():
        ended = launch(place.values(name, **changes), processes=processes, patches=[patch])
        left = sorted(path.name for path in place.output(name).glob("*checkpoint-*"))
        found[name] = {"codes": ended.codes, "said": ended.said.splitlines()[-1], "left": left}
    return found


def unreadable_row(rank: int) -> None:
    """Let the last rank find a row in its second step that can not be made, and the other rank none."""
    from phidata.errors import DataError
    from phitrain.batch import Sample, Samples, Slot

    inner, made = Samples.__getitem__, [0]

    def broken(samples: Samples, slot: Slot) -> Sample:
        made[0] += 1
        if made[0] == 3:
            raise DataError("row 'one': its image can not be opened")
        return inner(samples, slot)

    if rank == 1:
        Samples.__getitem__ = broken  # type: ignore[method-assign]


def other_rows(folder: Path) -> Patch:
    """Let the last rank see a data folder in which a word of an answer is another one."""
    write_rows(folder)
    file = folder / "colours_train.jsonl"
    file.write_text(file.read_text("utf-8").replace('"crimson"', '"scarlet"'), "utf-8")

    def patch(rank: int) -> None:
        import phitrain.trainer

        opened = phitrain.trainer.open_samples

        def elsewhere(config: Any, *rest: Any) -> Any:
            return opened(replace(config, data=replace(config.data, dir=str(folder))), *rest)

        if rank == 1:
            phitrain.trainer.open_samples = elsewhere

    return patch


def fill_disk() -> None:
    """No file of this process may grow beyond a megabyte from now on."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))


def dying_worker(_rank: int) -> None:
    """Kill each process that opens images when it is to render a row."""
    from torch.utils.data import get_worker_info

    from phitrain.batch import Sample, Samples, Slot

    inner = Samples.__getitem__

    def dying(samples: Samples, slot: Slot) -> Sample:
        if get_worker_info() is not None:
            kill()
        return inner(samples, slot)

    Samples.__getitem__ = dying  # type: ignore[method-assign]


def spoiling(rank: int, spoiled: range) -> Patch:
    """Make one rank's gradient NaN in these steps; the loss itself stays finite."""

    def patch(own_rank: int) -> None:
        from phitrain.loop import Loop
        from phitrain.models.adapter import Phi3VAdapter

        step, loss_sum = Loop._step, Phi3VAdapter.loss_sum
        at = [0]

        def begun(loop: Loop, number: int, *rest: Any) -> bool:
            at[0] = number
            return step(loop, number, *rest)

        def spoiled_sum(adapter: Phi3VAdapter, *inputs: Any) -> Any:
            loss = loss_sum(adapter, *inputs)
            if own_rank == rank and at[0] in spoiled:
                loss.register_hook(lambda gradient: gradient * float("nan"))
            return loss

        Loop._step, Phi3VAdapter.loss_sum = begun, spoiled_sum  # type: ignore[method-assign, assignment]

    return patch


EXPERIMENTS: dict[str, Callable[[Place], Found]] = {"kills": kills, "moves": moves, "guards": guards, "ends": ends}

if __name__ == "__main__":
    main(*sys.argv[1:])
