"""Runs in processes that are forked from one which has imported everything, and killed at a moment of one's choice.

A moment is a backward pass, an update, a batch of answers, or a file of the run's folder that is opened, moved or
removed. Its name says the step and how many of its kind came before in that step, so that it is the same in a run that
goes on after a stop.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from phidata.errors import PhidataError

TIMEOUT_S = 300.0
MEASURED = {"tokens_per_s", "images_per_s", "samples_per_s", "data_wait_share", "peak_memory_bytes", "mfu", "hfu"}
MEASURED |= {"seconds", "time", "resumed"}
FILE_EVENTS = {"open": "open", "os.rename": "move", "os.remove": "remove", "os.mkdir": "make", "shutil.rmtree": "clear"}

KINDS = {
    "step": r" (backward|update) ",
    "checkpoint": r" \.checkpoint-\d+\.saving",
    "evaluation": r" answers | \.eval_",
    "final save": r" \.saving",
}

Values = Mapping[str, Mapping[str, Any]]  # of a configuration
Patch = Callable[[int], None]  # something done first in a forked process, which is told its rank


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment of one rank: its step, its number among that rank's moments, and its name."""

    step: int
    at: int
    rank: int
    name: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the processes of a run ended: exit code by rank, negative for a signal, and what they said."""

    codes: tuple[int, ...]
    said: str


def import_everything() -> None:
    """Import what a training run imports, with one thread, so that forked processes need not."""
    os.environ.update(OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="", DS_ACCELERATOR="cpu")
    import bitsandbytes  # noqa: F401
    import peft  # noqa: F401
    import torch
    import torch.utils.tensorboard

    import phitrain.trainer  # noqa: F401
    from phitrain.engine import import_deepspeed

    torch.set_num_threads(1)
    import_deepspeed()


def launch(values: Values, *, processes: int = 1, patches: Sequence[Patch] = ()) -> Ended:
    """Train with as many processes; where one is killed, the others are killed too, as a launcher does.

    Where one fails the others are waited for: they have to end by themselves.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = Path(values["train"]["output_dir"] + ".said")
    said.write_bytes(b"")
    ranks = {_fork(values, rank, processes, port, said, patches): rank for rank in range(processes)}
    return Ended(codes=_wait(ranks), said=said.read_text("utf-8"))


def recording(output: Path, file: Path) -> Patch:
    """Write each rank's moments to `file`.<rank>, one a line."""

    def patch(rank: int) -> None:
        opened = file.with_name(f"{file.name}.{rank}").open("w", encoding="utf-8", buffering=1)
        _watch(output, lambda moment: opened.write(moment + "\n"))

    return patch


def at_moment(output: Path, rank: int, moment: str, action: Callable[[], object]) -> Patch:
    """Do something in one rank's process when it comes to a moment."""

    def see(found: str) -> None:
        if found == moment:
            action()

    def patch(own_rank: int) -> None:
        if own_rank == rank:
            _watch(output, see)

    return patch


def kill() -> None:
    """What `kill -9` does to this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def terminate() -> None:
    """What a scheduler does to this process before it takes the machine."""
    os.kill(os.getpid(), signal.SIGTERM)


def moments_by_kind(file: Path, processes: int) -> dict[str, list[Moment]]:
    """What `recording` wrote: the moments within a step, a checkpoint, an evaluation and the final save, in order.

    Those of later ranks than the first are of steps only.
    """
    found: dict[str, list[Moment]] = {kind: [] for kind in KINDS}
    for rank in range(processes):
        names = file.with_name(f"{file.name}.{rank}").read_text("utf-8").splitlines()
        for at, name in enumerate(names):
            kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, name)), None)
            if kind == "step" or (kind is not None and rank == 0):
                found[kind].append(Moment(step=int(name.split()[0]), at=at, rank=rank, name=name))
    return found


def outcome(folder: Path) -> dict[str, Any]:
    """What a run has left that depends on nothing but its configuration: the steps of its log, its evaluations, and
    digests of its other files and of its checkpoints' tensors."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    found: dict[str, Any] = {
        "steps": [{name: value for name, value in line.items() if name not in MEASURED} for line in lines]
    }
    for file in sorted(folder.glob("*")):
        if file.is_file() and not file.name.startswith(("log.", "train_", "report.", "README")):
            found[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    for mark in sorted(folder.glob("checkpoint-*/checkpoint.json")):
        facts = json.loads(mark.read_text("utf-8"))
        found[mark.parent.name] = {name: facts[name] for name in ("step", "optimizer_steps", "loss_scale", "score")}
        found[mark.parent.name] |= {name: file["sha256"] for name, file in facts["files"].items()}
    return found


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names under which two outcomes are not the same."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _fork(values: Values, rank: int, processes: int, port: int, said: Path, patches: Sequence[Patch]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        with said.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        for patch in patches:
            patch(rank)
        code = _train(values)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _train(values: Values) -> int:
    import traceback

    from phitrain.config import config_from
    from phitrain.engine import close_world, open_world
    from phitrain.trainer import train

    try:
        train(config_from(values), open_world())
        close_world()
    except PhidataError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except BaseException:
        traceback.print_exc()
        return 70
    return 0


def _wait(ranks: Mapping[int, int]) -> tuple[int, ...]:
    codes: dict[int, int] = {}
    until = time.monotonic() + TIMEOUT_S
    while len(codes) < len(ranks):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            codes[ranks[pid]] = os.waitstatus_to_exitcode(status)
        if (pid and codes[ranks[pid]] < 0) or time.monotonic() > until:
            for other in set(ranks) - {pid}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)
        if not pid:
            time.sleep(0.005)
    return tuple(codes[rank] for rank in sorted(codes))


def _watch(output: Path, see: Callable[[str], object]) -> None:
    """Name every moment of this process, from now on."""
    from phitrain.engine import Engine
    from phitrain.loop import Loop
    from phitrain.models.adapter import Phi3VAdapter

    at, counts = [0], Counter[str]()

    def come_to(what: str) -> None:
        counts[what] += 1
        see(f"{at[0]} {what} {counts[what]}")

    def begin(number: int) -> None:
        at[0] = number
        counts.clear()

    _before(Loop, "_step", lambda _self, number, *_: begin(number))
    _before(Engine, "backward", lambda *_: come_to("backward"))
    _before(Engine, "step", lambda *_: come_to("update"))
    _before(Phi3VAdapter, "generate", lambda *_: come_to("answers"))
    sys.addaudithook(_file_events(str(output), come_to))


def _file_events(output: str, come_to: Callable[[str], None]) -> Callable[[str, tuple[Any, ...]], None]:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FILE_EVENTS and isinstance(arguments[0], (str, os.PathLike)):
            path = os.fspath(arguments[0])
            if path.startswith(output + os.sep) and "tensorboard" not in path:
                come_to(f"{FILE_EVENTS[event]} {path[len(output) + 1 :]}")

    return hook


def _before(owner: type, name: str, action: Callable[..., object]) -> None:
    inner = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        action(*arguments)
        return inner(*arguments, **options)

    setattr(owner, name, wrapped)
