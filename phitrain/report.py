"""What a run says while it goes: log.jsonl, TensorBoard, and a bar or lines on standard error."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch

from phidata.console import Progress, progress


@dataclass(frozen=True, kw_only=True)
class Step:
    """One optimizer step, over all ranks; one line of log.jsonl.

    `grad_norms` and `lrs` by part of the model (llm, projector, vision), `lr` the language model's or the only one.
    `data_wait_share`: of the step's seconds, those in which the first rank waited for data. `mfu`, `hfu`: share of the
    devices' peak FLOP/s that the step's mathematics, and what was really computed, come to; None where the peak is
    not known. `skipped`: a gradient was not finite and nothing was updated.
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

    def __str__(self) -> str:
        return (
            f"loss {self.loss:.4f}  grad {self.grad_norm:.3g}  lr {self.lr:.2e}  {self.tokens_per_s:,.0f} tokens/s  "
            f"{self.images_per_s:.1f} images/s  {self.peak_memory_bytes / 2**30:.2f} GiB"
        )


class Report:
    """Takes each step; on ranks other than the first it is never made."""

    def __init__(self, folder: Path, total_steps: int, *, log_every: int, bar: bool, stack: ExitStack) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._log = stack.enter_context((folder / "log.jsonl").open("w", encoding="utf-8"))
        self._board = SummaryWriter(str(folder / "tensorboard"))
        stack.callback(self._board.close)
        self._total, self._every = total_steps, log_every
        self._shows_bar = bar and sys.stderr.isatty()
        self._around_bar = stack.enter_context(ExitStack())
        self._bar: Progress | None = None

    def begin(self) -> None:
        """Show the bar, if there is to be one: the steps begin."""
        if self._shows_bar:
            self._bar = self._around_bar.enter_context(progress(self._total, "train", "step"))

    def __call__(self, step: Step) -> None:
        self._log.write(json.dumps(asdict(step)) + "\n")
        self._log.flush()
        for name in ("loss", "grad_norm", "lr", "tokens_per_s", "images_per_s", "peak_memory_bytes"):
            self._board.add_scalar(f"train/{name}", getattr(step, name), step.step)
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {step.loss:.4f}  {step.tokens_per_s:,.0f} tokens/s", refresh=False)
            self._bar.update(1)
            if step.step == self._total:
                self._around_bar.close()  # so that it never stands beside what is said afterwards
        elif step.step % self._every == 0 or step.step == self._total:
            note(f"step {step.step}/{self._total}  epoch {step.epoch:.2f}  {step}")

    def accuracy(self, evaluation: dict[str, dict[str, float]], step: int) -> None:
        """Add an evaluation's accuracies to the TensorBoard files."""
        for split, result in evaluation.items():
            self._board.add_scalar(f"eval/accuracy_{split}", result["accuracy"], step)


@contextmanager
def open_report(folder: Path, total_steps: int, *, log_every: int, bar: bool) -> Iterator[Report]:
    """A report whose files are closed at the end, however the run ends."""
    with ExitStack() as stack:
        yield Report(folder, total_steps, log_every=log_every, bar=bar, stack=stack)


def note(sentence: str) -> None:
    """One line for the person who watches, on standard error."""
    click.echo(sentence, err=True)


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory used so far: the device's, or on a CPU the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
