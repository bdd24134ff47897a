"""What a run says while it goes: log.jsonl, trackers, and a bar or lines on standard error."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from tqdm import tqdm

from phidata.console import Progress, progress
from phitrain.log import LOG, cut_log, line_of
from phitrain.output import writing
from phitrain.trackers import Forgiving, Run, TensorBoard, Tracker

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One optimizer step, over all ranks; one line of log.jsonl.

    `grad_norms` and `lrs` by part of the model (llm, projector, vision), `lr` the language model's or the only one.
    `data_wait_share`: of the step's seconds, those in which the first rank waited for data. `mfu`, `hfu`: share of the
    devices' peak FLOP/s that the step's mathematics, and what was really computed, come to; None where the peak is
    not known. `skipped`: a gradient was not finite and nothing was updated. `spike`: the loss is far above those before
    it. `samples`: the ids of the rows of a step that was skipped or has a spike.
    """

    step: int
    epoch: float
    loss: float
    grad_norm: float
    grad_norms: dict[str, float]
    lr: float
    lrs: dict[str, float]
    tokens_per_s: float
    images_per_s: float
    samples_per_s: float
    data_wait_share: float
    peak_memory_bytes: int
    mfu: float | None
    hfu: float | None
    supervised_tokens: int
    seconds: float
    skipped: bool = False
    spike: bool = False
    samples: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = [
            f"loss {self.loss:.4f}",
            f"grad {self.grad_norm:.3g}",
            f"lr {self.lr:.2e}",
            f"{self.tokens_per_s:,.0f} tokens/s",
            f"{self.images_per_s:.1f} images/s",
            *([] if self.mfu is None else [f"MFU {100 * self.mfu:.0f} %"]),
            f"{self.peak_memory_bytes / 2**30:.2f} GiB",
            *(["skipped"] if self.skipped else []),
        ]
        return "  ".join(shown)

    def numbers(self) -> dict[str, float]:
        """What a tracker is given: every finite number of the step; those of parts carry the part's name."""
        named: dict[str, Any] = {}
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                named |= {f"{name.removesuffix('s')}_{part}": inner for part, inner in value.items()}
            else:
                named[name] = value
        wanted = {name: value for name, value in named.items() if name not in ("step", "samples") and value is not None}
        return {f"train/{name}": float(value) for name, value in wanted.items() if math.isfinite(value)}


class Countdown:
    """The seconds that are left, from how fast the steps came: evaluations and checkpoints between them count.

    The first step of a process is slower than the others and counts only as long as there is no other.
    """

    def __init__(self, total: int, done: int, clock: Clock = time.monotonic) -> None:
        self._total, self._clock = total, clock
        self._from = (done, clock())
        self._is_first = True

    def left(self, step: int) -> float:
        """Seconds from the end of `step`, which is now, to the end of the last."""
        now = self._clock()
        done, since = self._from
        left = (now - since) / (step - done) * (self._total - step)
        if self._is_first:
            self._from, self._is_first = (step, now), False
        return left


class Report:
    """Takes each step and each evaluation; on ranks other than the first it is never made."""

    def __init__(
        self, *, log: TextIO, trackers: Sequence[Tracker], total: int, done: int, log_every: int, bar: bool
    ) -> None:
        self._log, self._trackers = log, trackers
        self._total, self._done, self._every = total, done, log_every
        self._resumes = done > 0
        self._shows_bar = bar and sys.stderr.isatty()
        self._around_bar = ExitStack()
        self._bar: Progress | None = None
        self._countdown = Countdown(total, done)

    def begin(self) -> None:
        """The steps begin: show the bar, if there is to be one."""
        self._countdown = Countdown(self._total, self._done)
        if self._shows_bar:
            self._bar = self._around_bar.enter_context(progress(self._total, "train", "step", done=self._done))

    def close(self) -> None:
        """Take the bar away, if it is there."""
        self._around_bar.close()

    def __call__(self, step: Step) -> None:
        with writing(Path(self._log.name)):
            self._log.write(line_of({**asdict(step), "time": round(time.time(), 3), "resumed": self._resumes}))
            self._log.flush()
        self._resumes = False
        self._track(step.step, step.numbers())
        left = self._countdown.left(step.step)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {step.loss:.4f}  {step.tokens_per_s:,.0f} tokens/s", refresh=False)
            self._bar.update(1)
            if step.step == self._total:
                self.close()  # so that it never stands beside what is said afterwards
        elif step.step % self._every == 0 or step.step == self._total:
            ending = f"  {tqdm.format_interval(left)} left" if step.step < self._total else ""
            note(f"step {step.step}/{self._total}  epoch {step.epoch:.2f}  {step}{ending}")

    def evaluation(self, document: Mapping[str, Any], step: int) -> None:
        """Give the trackers the mean scores of an evaluation, as `eval/<metric>_<split>`."""
        scores = {
            f"eval/{metric}_{split}": float(score["mean"])
            for split, result in document["splits"].items()
            for metric, score in result["scores"].items()
        }
        self._track(step, scores)

    def _track(self, step: int, values: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            tracker.log(step, values)


@contextmanager
def open_report(
    folder: Path,
    total_steps: int,
    *,
    log_every: int,
    bar: bool,
    resume_at: int | None = None,
    trackers: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
) -> Iterator[Report]:
    """A report whose files are closed at the end, however the run ends.

    `resume_at`: the step of the checkpoint that the run goes on from; what the log and TensorBoard have beyond it is
    dropped. `trackers`: those beside TensorBoard, as `choose_trackers` gives them; they are told `config`.
    """
    run = Run(folder=folder, config=config or {}, resume_at=resume_at)
    done = resume_at or 0
    last = cut_log(folder / LOG, done)
    if last < done:
        lacking = f"step {done}" if last + 1 == done else f"the steps {last + 1} to {done}"
        note(f"{folder / LOG} lacks {lacking}; it goes on without")
    with ExitStack() as stack:
        log = stack.enter_context((folder / LOG).open("a", encoding="utf-8"))
        opened: list[Tracker] = [TensorBoard(run), *(Forgiving(name, run, say=note) for name in trackers)]
        for tracker in opened:
            stack.callback(tracker.finish)
        report = Report(log=log, trackers=opened, total=total_steps, done=done, log_every=log_every, bar=bar)
        stack.callback(report.close)
        yield report


def note(sentence: str) -> None:
    """One line for the person who watches, on standard error; a bar that is shown stays below it."""
    tqdm.write(sentence, file=sys.stderr)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: the device's, or on a CPU the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
