"""Where a run's numbers go beside its log: TensorBoard always, W&B and trackio where they are installed."""

from __future__ import annotations

import importlib
import netrc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol
from urllib.parse import urlsplit

from phidata.errors import UsageError
from phitrain.log import LOG

WANDB_ID = "wandb_run_id"  # in the output folder, so that a run that goes on is the same run there


class Tracker(Protocol):
    """Takes named numbers, each time those of one step."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a tracker is told of a run. `resume_at`: the step after which an earlier run is gone on with."""

    folder: Path
    config: Mapping[str, Any]
    resume_at: int | None = None


def choose_trackers(report_to: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The trackers that `train.report_to` comes to here, and a sentence for each that is installed but left out.

    "auto" is each one that is installed and set up. Raises UsageError for one that is named and is not.
    """
    chosen, notes = [], []
    for name in OPENERS:
        problem = _problem(name)
        if name in report_to:
            if problem is not None:
                raise UsageError(f"train.report_to names {name}, but {problem}")
            chosen.append(name)
        elif "auto" in report_to and _is_installed(name):
            if problem is None:
                chosen.append(name)
            else:
                notes.append(f"nothing is sent to {name}: {problem}")
    return tuple(chosen), notes


def _problem(name: str) -> str | None:
    """Why a tracker can not be used here, with the remedy."""
    if not _is_installed(name):
        return f"it is not installed; run `pip install {name}`, or leave it out"
    if name == "wandb" and not _wandb_is_set_up():
        return "no account is set up; run `wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline"
    return None


def _is_installed(name: str) -> bool:
    # W&B's own folder `wandb` in the working directory would pass for a package, one without a file.
    spec = find_spec(name)
    return spec is not None and spec.origin is not None


def _wandb_is_set_up() -> bool:
    """Whether wandb.init asks nothing: it keeps its numbers here, or finds a key."""
    mode = os.environ.get("WANDB_MODE", "online")
    if mode in ("offline", "dryrun"):
        return True
    return mode != "disabled" and bool(os.environ.get("WANDB_API_KEY") or _netrc_has_wandb())


def _netrc_has_wandb() -> bool:
    """Whether `wandb login` has left a key."""
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class TensorBoard:
    """Event files below the output folder. What an earlier run wrote beyond the resumed step is not shown."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        first = None if run.resume_at is None else run.resume_at + 1
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=first)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # or a run that is killed loses the steps before its checkpoint

    def finish(self) -> None:
        self._writer.close()


class Wandb:
    """A run of Weights & Biases: project $WANDB_PROJECT or phitrain, with the name of the output folder.

    The step is one of its numbers: its own counter refuses to go back, as a run that goes on from a checkpoint may.
    """

    def __init__(self, run: Run) -> None:
        wandb = importlib.import_module("wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "phitrain"),
            name=run.folder.resolve().name,
            id=_wandb_id(run),
            resume="allow",
            dir=str(run.folder),
            config=dict(run.config),
            settings=wandb.Settings(silent=True),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def finish(self) -> None:
        self._run.finish()


def _wandb_id(run: Run) -> str:
    file = run.folder / WANDB_ID
    if run.resume_at is None or not file.is_file():
        file.write_text(token_hex(4), encoding="utf-8")
    return file.read_text(encoding="utf-8")


class Trackio:
    """A run of trackio: project $TRACKIO_PROJECT or phitrain, with the name of the output folder."""

    def __init__(self, run: Run) -> None:
        self._trackio = importlib.import_module("trackio")
        with redirect_stdout(sys.stderr):  # where it says how to look at the run; standard output is for results
            self._trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", "phitrain"),
                name=run.folder.resolve().name,
                config=dict(run.config),
                resume="never" if run.resume_at is None else "allow",
            )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log(dict(values), step=step)

    def finish(self) -> None:
        with redirect_stdout(sys.stderr):
            self._trackio.finish()


OPENERS: dict[str, Callable[[Run], Tracker]] = {"wandb": Wandb, "trackio": Trackio}


class Forgiving:
    """One of the trackers that were chosen. Its failure is told once by `say` and ends it, not the run: they are other
    people's services, and the log has the same numbers."""

    def __init__(self, name: str, run: Run, *, say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self._tracker: Tracker | None = None
        with self._surviving():
            self._tracker = OPENERS[name](run)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if self._tracker is not None:
            with self._surviving():
                self._tracker.log(step, values)

    def finish(self) -> None:
        if self._tracker is not None:
            with self._surviving():
                self._tracker.finish()

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a tracker raises
            self._tracker = None
            self._say(f"{self._name} has failed ({error}) and gets nothing more; {LOG} has everything")
