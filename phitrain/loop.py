"""The optimizer steps of a run, one after the other, and what is watched, written and measured between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from phidata.errors import DataError
from phitrain.audit import GradientAudit
from phitrain.batch import Batch, Samples, load_batches
from phitrain.checkpoint import Identity, keep_newest, save_checkpoint
from phitrain.config import Config
from phitrain.engine import Engine, Updated, World
from phitrain.evaluate import to_device
from phitrain.flops import StepFlops, Work, step_flops, utilisation
from phitrain.log import LOG, read_log
from phitrain.models.adapter import Adapter
from phitrain.output import fsync
from phitrain.report import Report, Step, note, peak_memory_bytes
from phitrain.resolve import rate_factor
from phitrain.sampler import Sampler
from phitrain.spikes import Spike, SpikeGuard
from phitrain.stopping import StopWish

MAX_SKIPPED = 20  # steps in a row; finding a loss scale takes fewer
MAX_IDS = 64


@dataclass(frozen=True, kw_only=True)
class Course:
    """What the steps of a run follow from, the same from the first to the last and on every rank.

    `peak_flops`: operations a second of one device; None where they are not known.
    """

    config: Config
    adapter: Adapter
    samples: Samples
    sampler: Sampler
    identity: Identity
    peak_flops: float | None

    @property
    def output(self) -> Path:
        return Path(self.config.train.output_dir)

    @property
    def steps_of_epoch(self) -> int:
        return self.sampler.steps_of_epoch(self.config.train.batch_size)

    @property
    def total(self) -> int:
        return self.config.train.max_steps or self.config.train.num_train_epochs * self.steps_of_epoch

    def epoch_after(self, step: int) -> float:
        """How many times the data has been gone through after a step; an epoch's last, smaller step counts as one."""
        whole, rest = divmod(step, self.steps_of_epoch)
        return whole + rest / self.steps_of_epoch

    def flops_of(self, batch: Batch) -> StepFlops:
        return step_flops(
            self.adapter.layers,
            self.config.strategy,
            Work.of(batch),
            checkpointing=self.config.model.gradient_checkpointing,
            attention=self.config.model.attention,
        )


class Counts(NamedTuple):
    """What a step holds, over all ranks; fillers left out."""

    supervised: int
    tokens: int
    images: int
    samples: int
    flops: StepFlops
    is_stop_wished: bool


class Loop:
    """Takes the micro-batches of a step, counts, goes forward and backward, updates, tells."""

    def __init__(
        self, course: Course, engine: Engine, audit: GradientAudit, world: World, report: Report | None, start: int
    ) -> None:
        self._course, self._engine, self._audit, self._world, self._report = course, engine, audit, world, report
        self._start = start
        self._num_skipped = 0
        log = world.on_main(lambda: [judged(line) for line in read_log(course.output / LOG)])
        self._guard = SpikeGuard.after(log)
        self._is_updated = any(line["lr"] > 0 and not line["skipped"] for line in log)

    def run(self, evaluate_after: Callable[[int], None]) -> int:
        """Every step that is left, with checkpoints and evaluations where they are due; returns the last one made.

        It is not the last of the run where a signal wished for a stop: then there is a checkpoint of it.
        """
        batches = all_batches(self._course, self._world, self._start)
        self._engine.module.train()
        if self._report is not None:
            self._report.begin()
        self._keep_newest()  # a run that was killed may have left more
        with StopWish() as stop:
            for number in range(self._start + 1, self._course.total):
                is_stop_wished = self._step(number, batches, stop)
                is_saved = is_stop_wished or is_due(self._course.config.train.save_steps, number)
                is_measured = is_due(self._course.config.eval.every, number)
                if is_saved:
                    self._save(number)
                if is_stop_wished:
                    return number
                if is_measured:
                    evaluate_after(number)
                if is_saved or is_measured:
                    self._keep_newest()
            self._step(self._course.total, batches, stop)
        self._end_audit()
        return self._course.total

    def _step(self, number: int, batches: Iterator[Batch], stop: StopWish) -> bool:
        """One step; returns whether some rank was asked to stop."""
        started = time.perf_counter()
        micros, problem = self._taken(batches)
        waited_s = time.perf_counter() - started
        counts = self._count(micros, stop, problem)
        loss = self._accumulate(micros, counts.supervised)
        self._audit.after_backward(with_images=counts.images > 0, is_updated=self._is_updated)
        factor = rate_factor(self._course.config, number, self._course.total)
        updated = self._engine.step(factor)
        self._is_updated = self._is_updated or (factor > 0 and not updated.skipped)
        seconds = time.perf_counter() - started
        spike = self._guard.look(number, loss, skipped=updated.skipped)
        ids = self._ids(micros) if updated.skipped or spike else ()
        if self._report is not None:
            self._report(self._told(number, loss, updated, counts, seconds, waited_s, spike, ids))
        self._warn(number, updated, spike, ids)
        return counts.is_stop_wished

    def _taken(self, batches: Iterator[Batch]) -> tuple[list[Batch], DataError | None]:
        """A step's micro-batches, or what is wrong with one: the other ranks must not wait for this one."""
        try:
            return list(islice(batches, self._engine.accumulation)), None
        except DataError as error:
            return [], error

    def _count(self, micros: Sequence[Batch], stop: StopWish, problem: DataError | None) -> Counts:
        """Raises on all ranks the problem that one of them has."""
        flops = sum(map(self._course.flops_of, micros), StepFlops())
        sums = self._world.sum(
            sum(micro.num_supervised for micro in micros),
            sum(micro.num_tokens for micro in micros),
            sum(micro.num_images for micro in micros),
            sum(len(micro.lengths) for micro in micros),
            flops.model,
            flops.hardware,
            stop.is_wished,
            problem is not None,
        )
        supervised, tokens, images, samples, model, hardware, wishes, problems = map(int, sums)
        if problems:
            self._world.raise_first(problem)
        flops = StepFlops(model=model, hardware=hardware)
        return Counts(supervised, tokens, images, samples, flops, is_stop_wished=wishes > 0)

    def _accumulate(self, micros: Sequence[Batch], supervised: int) -> float:
        """Forward and backward of a step's micro-batches; returns the loss, the mean over all supervised tokens."""
        part = torch.zeros((), dtype=torch.float64, device=self._world.device)
        for micro in micros:
            inputs, labels = to_device(micro.inputs, self._world.device), micro.labels.to(self._world.device)
            loss_sum = self._course.adapter.loss_sum(self._engine.deepspeed, inputs, labels)
            self._engine.backward(loss_sum, supervised)
            part += loss_sum.detach()
        return self._world.sum(float(part))[0] / supervised

    def _told(
        self,
        number: int,
        loss: float,
        updated: Updated,
        counts: Counts,
        seconds: float,
        waited_s: float,
        spike: Spike | None,
        ids: tuple[str, ...],
    ) -> Step:
        rates = self._engine.learning_rates(updated.factor)
        peak = None if self._course.peak_flops is None else self._course.peak_flops * self._world.size
        return Step(
            step=number,
            epoch=self._course.epoch_after(number),
            loss=loss,
            grad_norm=updated.grad_norm,
            grad_norms=updated.grad_norms,
            lr=rates["llm"] if "llm" in rates else max(rates.values()),
            lrs=rates,
            tokens_per_s=counts.tokens / seconds,
            images_per_s=counts.images / seconds,
            samples_per_s=counts.samples / seconds,
            data_wait_share=waited_s / seconds,
            peak_memory_bytes=peak_memory_bytes(self._world.device),
            mfu=utilisation(counts.flops.model, seconds, peak),
            hfu=utilisation(counts.flops.hardware, seconds, peak),
            supervised_tokens=counts.supervised,
            seconds=seconds,
            skipped=updated.skipped,
            spike=spike is not None,
            samples=ids,
        )

    def _ids(self, micros: Sequence[Batch]) -> tuple[str, ...]:
        """The ids of a step's rows, over all ranks."""
        data = self._course.samples.data
        mine = [data[slot.row].id for micro in micros for slot in micro.slots if not slot.filler]
        return tuple(sorted({id_ for ids in self._world.gather(mine) for id_ in ids})[:MAX_IDS])

    def _warn(self, number: int, updated: Updated, spike: Spike | None, ids: Sequence[str]) -> None:
        """Name the rows of a step that was skipped or has a spike. Raises DataError after many skipped in a row."""
        self._num_skipped = self._num_skipped + 1 if updated.skipped else 0
        rows = ", ".join(ids[:8]) + (f" and {len(ids) - 8} more" if len(ids) > 8 else "")
        if self._num_skipped == MAX_SKIPPED:
            raise DataError(
                f"the gradient was not finite in {MAX_SKIPPED} steps in a row, up to step {number} (rows {rows}); "
                "lower the learning rate, or train in bf16 or fp32"
            )
        if self._world.is_main and updated.skipped:
            why = " (fp16: the loss scale was halved)" if self._course.config.model.precision == "fp16" else ""
            note(f"step {number} was skipped: its gradient is not finite{why}; rows {rows}")
        elif self._world.is_main and spike is not None:
            note(f"{spike}; rows {rows}")

    def _save(self, number: int) -> None:
        self._world.on_main(lambda: fsync(self._course.output / LOG))
        save_checkpoint(self._course.output, number, self._engine, self._world, self._course.identity)

    def _keep_newest(self) -> None:
        limit = self._course.config.train.save_total_limit
        if limit is not None:
            self._world.on_main(lambda: keep_newest(self._course.output, limit))

    def _end_audit(self) -> None:
        if not self._audit.is_done:
            self._audit.close()
            if self._world.is_main:
                note("not every trained tensor was reached: the run was too short, or no training row had an image")


def judged(line: Mapping[str, Any]) -> dict[str, Any]:
    """Of a line of the log what the next steps follow from."""
    return {name: line[name] for name in ("step", "loss", "lr", "skipped")}


def is_due(every: int | None, number: int) -> bool:
    """Whether what is done every so many steps is done after this one."""
    return every is not None and number % every == 0


def all_batches(course: Course, world: World, start: int) -> Iterator[Batch]:
    """This rank's micro-batches from after step `start` on, epoch after epoch without end."""
    epoch, skip_steps = divmod(start, course.steps_of_epoch)
    while True:
        plan = course.sampler.micro_batches(
            epoch,
            batch_size=course.config.train.batch_size,
            per_rank=course.config.train.batch_size_per_gpu,
            rank=world.rank,
            world_size=world.size,
            skip_steps=skip_steps,
        )
        yield from load_batches(course.samples, plan, num_workers=course.config.data.num_workers)
        epoch, skip_steps = epoch + 1, 0
