"""Checkpoints: everything that a run needs to go on, written so that a folder with `checkpoint.json` is whole."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from phidata.errors import DataError, PhidataError, UsageError
from phitrain.config import Config
from phitrain.engine import Engine, World
from phitrain.output import fresh_folder, fsync, make_durable, write_json
from phitrain.shards import Entry, Stored, write_shards
from phitrain.state import (
    MASTER,
    optimizer_steps,
    read_scaler,
    read_state,
    state_shapes,
    write_scaler,
    write_state,
)

MARK = "checkpoint.json"
STATE = "state"
RANDOM = "random.safetensors"
FORMAT = 1
SHARD_BYTES = 2_000_000_000
LATEST = "latest"
LORA = {"lora", "qlora"}
ADAPTERS = ("freeze_vision", "lora_rank", "dora")  # fields that say which tensors there are
# What may be different when a run goes on: where and how it computes, not what.
FREE = {
    "model": {"name_or_path", "attention", "gradient_checkpointing", "max_length"},
    "data": {"dir", "num_workers", "converter", "source", "convert_options", "eval_source", "eval_convert_options"},
    "train": {"batch_size_per_gpu", "zero", "offload", "log_every", "tqdm", "output_dir", "overwrite_output_dir"}
    | {"save_steps", "save_total_limit", "resume_from_checkpoint", "allow_changed", "report_to"},
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a run is about: its configuration, and fingerprints of its rows and of the model that it started from."""

    config: Config
    data: str
    model: str


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A whole checkpoint folder, and what its `checkpoint.json` says."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def step(self) -> int:
        step: int = self.facts["step"]
        return step


def save_checkpoint(output: Path, step: int, engine: Engine, world: World, identity: Identity) -> None:
    """Write `checkpoint-<step>` below the output folder. Every rank calls it; raises on all of them where one fails."""
    random = world.gather(_random_state(world))
    facts = {
        "format": FORMAT,
        "step": step,
        "optimizer_steps": optimizer_steps(engine),
        "loss_scale": read_scaler(engine),
        "world_size": world.size,
        "score": None,
        "data": identity.data,
        "model": identity.model,
        "config": identity.config.as_dict(),
    }
    shapes = state_shapes(engine)

    def write(tensors: Iterator[tuple[str, Tensor]]) -> None:
        with _new_checkpoint(output, step) as folder:
            entries = [Entry(name=key, dtype=torch.float32, shape=shape) for key, shape in shapes.items()]
            write_shards(folder, entries, tensors, stem=STATE, max_bytes=SHARD_BYTES)
            numbered = {f"{kind}/{rank}": one for rank, kinds in enumerate(random) for kind, one in kinds.items()}
            save_file(numbered, folder / RANDOM)
            files = {file.name: _described(file) for file in sorted(folder.iterdir())}
            write_json(folder / MARK, {**facts, "files": files})

    world.write_on_main(read_state(engine), write)


def restore(checkpoint: Checkpoint, engine: Engine, world: World) -> None:
    """Bring the model, the optimizer, the loss scale and the random numbers to where they were. Every rank calls it.

    Raises UsageError where other tensors are trained. The random numbers of another number of ranks are not taken up.
    """
    facts = checkpoint.facts
    names = [name for name in facts["files"] if name.startswith(STATE) and name.endswith(".safetensors")]
    stored = world.on_main(lambda: Stored(checkpoint.folder / name for name in names))
    _refuse_others(checkpoint.folder, stored, engine)
    write_state(engine, stored.read if world.is_main else None, facts["optimizer_steps"])
    write_scaler(engine, facts["loss_scale"])
    random = world.on_main(lambda: load_file(checkpoint.folder / RANDOM))
    if facts["world_size"] == world.size:
        torch.set_rng_state(random[f"cpu/{world.rank}"])
        if world.device.type == "cuda" and f"cuda/{world.rank}" in random:
            torch.cuda.set_rng_state(random[f"cuda/{world.rank}"], world.device)


def find_checkpoint(output: Path, wanted: str) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint to go on from, and a sentence about each newer one that is not whole.

    `wanted`: "latest" for the newest whole one below `output`, None where there is no checkpoint; else its folder.
    Raises DataError where that folder, or every one, is not whole; it names another that is.
    """
    if wanted == LATEST:
        return _latest(output)
    folder = Path(wanted)
    try:
        return read_checkpoint(folder), []
    except DataError as error:
        near = [*checkpoint_folders(folder), *checkpoint_folders(folder.parent)]
        other = next((one for one in near if one != folder and _is_whole(one)), None)
        remedy = f"give {other}" if other else "start anew without it"
        raise DataError(f"{error}; {remedy}") from error


def checkpoint_folders(output: Path) -> list[Path]:
    """Every `checkpoint-<step>` below a folder, the newest first, whole or not."""
    found = [path for path in output.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    return sorted(found, key=_step_of, reverse=True)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and verify a checkpoint, every byte of it. Raises UsageError where there is none, or one of another format,
    and DataError where it is not whole."""
    if not folder.is_dir():
        raise UsageError(f"there is no checkpoint {folder}; give a checkpoint-<step> folder of a run, or latest")
    mark = folder / MARK
    if not mark.is_file():
        raise DataError(f"{folder} has no {MARK}: it is not a whole checkpoint")
    try:
        facts = json.loads(mark.read_text("utf-8"))
        files = facts["files"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{mark} is damaged ({error})") from error
    if facts.get("format") != FORMAT:
        raise UsageError(
            f"{mark} has the format {facts.get('format')!r}, this release reads {FORMAT}; go on with the release that "
            "wrote it"
        )
    for name, expected in files:
        _verify(folder / name, expected)
    return Checkpoint(folder=folder, facts=facts)


def refuse_changed(checkpoint: Checkpoint, identity: Identity) -> None:
    """Raise UsageError where a run is to go on with another configuration, other data or another model."""
    found = differences(checkpoint, identity)
    if found:
        raise UsageError(
            f"{checkpoint.folder} was written by another run: {'; '.join(found)}; "
            "go on with what it was, or say --allow_changed"
        )


def refuse_other_tensors(checkpoint: Checkpoint, config: Config) -> None:
    """Raise UsageError where the strategy trains other tensors than it did: nothing of the run is touched yet.

    `restore` looks at the tensors themselves, when the model is there.
    """
    then, now = checkpoint.facts["config"]["strategy"], config.as_dict()["strategy"]
    names = ADAPTERS if now["kind"] in LORA else ("train_projector",)
    changed = [name for name in names if then.get(name) != now[name]]
    if then["kind"] != now["kind"] and not {then["kind"], now["kind"]} <= LORA:
        changed = ["kind"]
    if changed:
        told = "; ".join(f"strategy.{name} was {then.get(name)!r} and is {now[name]!r}" for name in changed)
        raise UsageError(
            f"{checkpoint.folder} is of a run that trained other tensors: {told}; go on with what it was, also with "
            "--allow_changed, or start another run from its exported model"
        )


def differences(checkpoint: Checkpoint, identity: Identity) -> list[str]:
    """What is not as it was when the checkpoint was written, one phrase each."""
    then = checkpoint.facts["config"]
    found = changed_fields(then, identity.config)
    if checkpoint.facts["data"] != identity.data:
        found.append("the training rows are others")
    if checkpoint.facts["model"] != identity.model:
        found.append(f"the model is another than {then['model']['name_or_path']} was")
    return found


def changed_fields(then: Mapping[str, Mapping[str, Any]], config: Config) -> list[str]:
    """The fields that may not change while a run goes on, and have, one phrase each. `then`: an earlier `as_dict`."""
    now = json.loads(json.dumps(config.as_dict()))
    return [
        f"{section}.{name} was {then.get(section, {}).get(name)!r} and is {value!r}"
        for section, values in now.items()
        for name, value in values.items()
        if section != "eval" and name not in FREE.get(section, ()) and then.get(section, {}).get(name) != value
    ]


def score_checkpoint(output: Path, step: int, score: float) -> None:
    """Note in a checkpoint what its model scored: the best one is kept."""
    folder = output / f"checkpoint-{step}"
    if (facts := _read_mark(folder)) is not None:
        write_json(folder / MARK, {**facts, "score": score})


def best_checkpoint(output: Path) -> Path | None:
    """The folder whose model scored best, the later of equals; None where none was scored."""
    scored = []
    for folder in checkpoint_folders(output):
        score = (_read_mark(folder) or {}).get("score")
        if score is not None:
            scored.append((score, _step_of(folder), folder))
    return max(scored)[2] if scored else None


def keep_newest(output: Path, limit: int) -> None:
    """Remove all but the newest `limit` checkpoints and the best one."""
    best = best_checkpoint(output)
    for folder in checkpoint_folders(output)[limit:]:
        if folder != best:
            _remove(folder)


def drop_later(output: Path, step: int) -> list[Path]:
    """Remove the checkpoints beyond a step, and what is left of unfinished ones; returns the former.

    A run that goes on from that step makes them again. Until then none of them may be taken for its newest.
    """
    for unfinished in output.glob(".checkpoint-*.saving"):
        shutil.rmtree(unfinished)
    later = [folder for folder in checkpoint_folders(output) if _step_of(folder) > step]
    for folder in later:
        _remove(folder)
    return later


def _latest(output: Path) -> tuple[Checkpoint | None, list[str]]:
    problems: list[str] = []
    for folder in checkpoint_folders(output):
        try:
            return read_checkpoint(folder), [f"{problem}; the checkpoint before it is used" for problem in problems]
        except DataError as error:
            problems.append(str(error))
    if problems:
        raise DataError(
            f"no checkpoint of {output} is whole ({'; '.join(problems)}); start anew with --overwrite_output_dir in "
            "place of --resume_from_checkpoint"
        )
    return None, []


def _refuse_others(folder: Path, stored: Stored, engine: Engine) -> None:
    """Weights that are trained now and were not then, or the other way round, would be those of the model as it was."""
    held = {key: entry.shape for key, entry in stored.entries.items() if key.startswith(MASTER)}
    trained = {key: shape for key, shape in state_shapes(engine).items() if key.startswith(MASTER)}
    others = sorted(key for key in held.keys() | trained.keys() if held.get(key) != trained.get(key))
    if others:
        raise UsageError(
            f"{folder} is of a run that trained other tensors: {len(others)} are not in both or have another shape, "
            f"such as {others[0].partition('/')[2]}; go on with the strategy, the LoRA settings and the model it had"
        )


def _read_mark(folder: Path) -> dict[str, Any] | None:
    """What a checkpoint says of itself; None for one that is not whole, which is no reason to end a run."""
    try:
        facts = json.loads((folder / MARK).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None


def _step_of(folder: Path) -> int:
    return int(folder.name.split("-")[1])


def _remove(folder: Path) -> None:
    (folder / MARK).unlink(missing_ok=True)  # first, so that what is half removed never looks whole
    shutil.rmtree(folder)


@contextmanager
def _new_checkpoint(output: Path, step: int) -> Iterator[Path]:
    """A folder to fill, which becomes `checkpoint-<step>` when all is written and on disk."""
    target = output / f"checkpoint-{step}"
    with fresh_folder(output / f".checkpoint-{step}.saving") as folder:
        yield folder
        make_durable(folder)
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    fsync(output)


def _random_state(world: World) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if world.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(world.device)
    return state


def _described(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while piece := opened.read(1 << 22):
            digest.update(piece)
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


def _verify(file: Path, expected: Mapping[str, Any]) -> None:
    if not file.is_file():
        raise DataError(f"{file} is missing: the checkpoint is not whole")
    if file.stat().st_size != expected["bytes"]:
        raise DataError(f"{file} has {file.stat().st_size} bytes, not {expected['bytes']}: the checkpoint is not whole")
    if _described(file)["sha256"] != expected["sha256"]:
        raise DataError(f"{file} is damaged: its sha256 is not the one in {MARK}")


def _is_whole(folder: Path) -> bool:
    try:
        read_checkpoint(folder)
    except PhidataError:
        return False
    return True
