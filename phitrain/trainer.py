"""The training run, from top to bottom."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

import phidata
from phidata.errors import DataError, PhidataError, UsageError
from phitrain.audit import GradientAudit
from phitrain.batch import Batch, Samples, load_batches, micro_batches, steps_of_epoch
from phitrain.config import Config
from phitrain.engine import Engine, World
from phitrain.evaluate import Asking, accuracy_lines, evaluate, to_device
from phitrain.export import save_model
from phitrain.models.adapter import Adapter, Loading, open_adapter
from phitrain.output import RUN_CONFIG, check_output, check_space, open_output, write_json
from phitrain.report import Report, Step, note, open_report, peak_memory_bytes

Summary = dict[str, Any]


def train(config: Config, world: World) -> Summary:
    """Train a model as the configuration says and write the result folder; returns what train_summary.json says.

    Every rank calls it. Raises UsageError and DataError before the model is loaded where that is possible.
    """
    config, notes = resolve(config, world)
    output = Path(config.train.output_dir)
    adapter = open_adapter(config.model.name_or_path, config.model.num_crops)
    splits = {name: open_samples(config, adapter, name) for name in (config.data.train_split, *config.eval.splits)}
    check_rows(splits, world)
    samples = splits[config.data.train_split]
    config, more = fit_schedule(config, len(samples))
    on_main(world, lambda: check_output(output, overwrite=config.train.overwrite_output_dir))
    if world.is_main:
        for sentence in notes + more:
            note(sentence)

    torch.manual_seed(config.train.seed)
    module = load_model(config, adapter, world)
    on_main(world, lambda: begin_output(config, module))
    total = total_steps(config, len(samples))
    with maybe_report(config, world, total) as report:
        if config.eval.before:
            measure(config, adapter, module, splits, world, report, "before", step=0)
        summary = run_steps(config, adapter, module, samples, world, total, report)
        measure(config, adapter, module, splits, world, report, "after", step=total)
    on_main(world, lambda: save_model(adapter, module, output))
    on_main(world, lambda: write_json(output / "train_summary.json", summary))
    return summary


def begin_output(config: Config, module: nn.Module) -> None:
    """Make the folder of the run, with its configuration; refuse a disk without room for the trained model."""
    output = Path(config.train.output_dir)
    open_output(output, overwrite=config.train.overwrite_output_dir)
    check_space(output, sum(parameter.nbytes for parameter in module.parameters()))
    write_json(output / RUN_CONFIG, config.as_dict())


def run_steps(
    config: Config,
    adapter: Adapter,
    module: nn.Module,
    samples: Samples,
    world: World,
    total: int,
    report: Report | None,
) -> Summary:
    """The loop: take the micro-batches of a step, count, forward, backward, step, tell."""
    audit = GradientAudit(adapter, module, world)
    engine = Engine(module, config, world)
    module.train()
    batches = all_batches(config, samples, world)
    per_epoch = steps_of_epoch(len(samples), config.train.batch_size)
    steps: list[Step] = []
    if report is not None:
        report.begin()
    for number in range(1, total + 1):
        started = time.perf_counter()
        micros = list(islice(batches, engine.accumulation))
        supervised, tokens, images = count(micros, world)
        loss = accumulate(adapter, engine, micros, supervised, world)
        if not math.isfinite(loss):
            rows = ", ".join(sorted({samples.data[slot.row].id for micro in micros for slot in micro.slots})[:8])
            raise DataError(f"the loss of step {number} is {loss} (rows {rows}); lower the learning rate or use fp32")
        audit.after_backward(with_images=images > 0)
        rate = learning_rate(config, number, total)
        grad_norm = engine.step(rate)
        elapsed = time.perf_counter() - started
        step = Step(
            step=number,
            epoch=(number - 1) // per_epoch + ((number - 1) % per_epoch + 1) / per_epoch,
            loss=loss,
            grad_norm=grad_norm,
            grad_norms={},
            lr=rate,
            lrs={},
            tokens_per_s=tokens / elapsed,
            images_per_s=images / elapsed,
            samples_per_s=0.0,
            data_wait_share=0.0,
            mfu=None,
            hfu=None,
            peak_memory_bytes=peak_memory_bytes(world.device),
            supervised_tokens=supervised,
            seconds=elapsed,
        )
        steps.append(step)
        if report is not None:
            report(step)
    if not audit.is_done:
        audit.close()
        if world.is_main:
            note("no training row had an image: the vision part of the model was not trained")
    return summary_of(steps, world)


def count(micros: Sequence[Batch], world: World) -> tuple[int, int, int]:
    """Supervised tokens, tokens and images of a step, over all ranks."""
    sums = world.sum(
        sum(micro.num_supervised for micro in micros),
        sum(micro.num_tokens for micro in micros),
        sum(micro.num_images for micro in micros),
    )
    supervised, tokens, images = map(int, sums)
    return supervised, tokens, images


def accumulate(adapter: Adapter, engine: Engine, micros: Sequence[Batch], supervised: int, world: World) -> float:
    """Forward and backward of a step's micro-batches; returns the loss, the mean over all supervised tokens."""
    part = torch.zeros((), dtype=torch.float64, device=world.device)
    for micro in micros:
        inputs, labels = to_device(micro.inputs, world.device), micro.labels.to(world.device)
        loss_sum = adapter.loss_sum(engine.deepspeed, inputs, labels)
        engine.backward(loss_sum, supervised)
        part += loss_sum.detach()
    return world.sum(float(part))[0] / supervised


def summary_of(steps: Sequence[Step], world: World) -> Summary:
    seconds = sum(step.seconds for step in steps)
    return {
        "steps": len(steps),
        "first_loss": steps[0].loss,
        "last_loss": steps[-1].loss,
        "tokens_per_s": sum(step.tokens_per_s * step.seconds for step in steps) / seconds,
        "images_per_s": sum(step.images_per_s * step.seconds for step in steps) / seconds,
        "peak_memory_bytes": peak_memory_bytes(world.device),
        "seconds": seconds,
        "world_size": world.size,
    }


def evaluate_model(config: Config, world: World) -> dict[str, Any]:
    """Load a model and evaluate it on the configuration's splits: what an evaluation file says."""
    config, _ = resolve(config, world)
    adapter = open_adapter(config.model.name_or_path, config.model.num_crops)
    splits = {name: open_samples(config, adapter, name) for name in config.eval.splits}
    check_rows(splits, world)
    module = load_model(config, adapter, world)
    return {
        "model": config.model.name_or_path,
        "metric": "accuracy",
        "splits": evaluate_splits(config, adapter, module, splits, world),
    }


def measure(
    config: Config,
    adapter: Adapter,
    module: nn.Module,
    splits: Mapping[str, Samples],
    world: World,
    report: Report | None,
    when: str,
    *,
    step: int,
) -> None:
    """Evaluate the splits that were asked for, and write and tell the result."""
    asked = {name: splits[name] for name in config.eval.splits}
    if not asked:
        return
    result = evaluate_splits(config, adapter, module, asked, world)
    if report is not None:
        document = {"model": config.model.name_or_path, "metric": "accuracy", "splits": result}
        write_json(Path(config.train.output_dir) / f"eval_{when}.json", document)
        report.accuracy(result, step)
        for line in accuracy_lines(result):
            note(f"{when} training: {line}")


def evaluate_splits(
    config: Config, adapter: Adapter, module: nn.Module, splits: Mapping[str, Samples], world: World
) -> dict[str, Any]:
    asking = Asking(
        batch_size=config.eval.batch_size,
        max_new_tokens=config.eval.max_new_tokens,
        num_workers=config.data.num_workers,
        bar=config.train.tqdm,
    )
    return evaluate(adapter, module, splits, world, asking)


def load_model(config: Config, adapter: Adapter, world: World) -> nn.Module:
    return adapter.load(
        Loading(
            dtype=torch.bfloat16 if config.model.precision == "bf16" else torch.float32,
            attention=config.model.attention,
            device=world.device,
            checkpointing=config.model.gradient_checkpointing,
        )
    )


def resolve(config: Config, world: World) -> tuple[Config, list[str]]:
    """The configuration as it runs on this machine, and a sentence for each thing that was changed."""
    notes: list[str] = []
    has_cuda = world.device.type == "cuda"
    precision, zero = config.model.precision, config.train.zero
    if precision == "auto":
        precision = "bf16" if has_cuda and torch.cuda.is_bf16_supported() else "fp32"
    if precision == "bf16" and zero == 0:
        zero = 1
        notes.append("bf16 with --zero 0 is run as --zero 1: DeepSpeed keeps exact fp32 master weights from stage 1 on")
    per_step = config.train.batch_size_per_gpu * world.size
    if config.train.batch_size % per_step:
        nearest = max(per_step, round(config.train.batch_size / per_step) * per_step)
        raise UsageError(
            f"--batch_size {config.train.batch_size} is not a multiple of --batch_size_per_gpu "
            f"{config.train.batch_size_per_gpu} times {world.size} processes; the nearest that is: {nearest}"
        )
    if config.model.attention == "flash_attention_2" and not (has_cuda and importlib.util.find_spec("flash_attn")):
        missing = "the package flash-attn (extra 'flash')" if has_cuda else "a CUDA device"
        raise UsageError(f"flash_attention_2 needs {missing}; use --attention sdpa")
    attention = "sdpa" if config.model.attention == "auto" else config.model.attention
    model = dataclasses.replace(config.model, precision=precision, attention=attention)
    return dataclasses.replace(config, model=model, train=dataclasses.replace(config.train, zero=zero)), notes


def fit_schedule(config: Config, num_rows: int) -> tuple[Config, list[str]]:
    """The warm-up scaled down to a tenth of a run that is not longer than it."""
    if num_rows == 0:
        raise DataError(f"split {config.data.train_split!r} of {config.data.dir} has no rows to train on")
    total, warmup = total_steps(config, num_rows), config.optimizer.warmup_steps
    if warmup < total:
        return config, []
    shorter = max(1, total // 10) if warmup else 0
    optimizer = dataclasses.replace(config.optimizer, warmup_steps=shorter)
    sentence = f"the run has {total} steps, no more than its {warmup} warm-up steps: warming up for {shorter}"
    return dataclasses.replace(config, optimizer=optimizer), [sentence] if warmup != shorter else []


def total_steps(config: Config, num_rows: int) -> int:
    """`max_steps` where it is given, else the steps of all epochs."""
    steps = config.train.num_train_epochs * steps_of_epoch(num_rows, config.train.batch_size)
    return config.train.max_steps or steps


def learning_rate(config: Config, step: int, total: int) -> float:
    """The rate of a step, counted from 1, in the published schedule: 0 at the first, rising linearly for
    `warmup_steps`, then falling linearly towards 0 after the last."""
    done, warmup = step - 1, config.optimizer.warmup_steps
    factor = done / warmup if done < warmup else (total - done) / max(1, total - warmup)
    return config.optimizer.learning_rate * factor


def all_batches(config: Config, samples: Samples, world: World) -> Iterator[Batch]:
    """This rank's micro-batches, epoch after epoch without end."""
    epoch = 0
    while True:
        plan = micro_batches(
            len(samples),
            seed=config.train.seed,
            epoch=epoch,
            batch_size=config.train.batch_size,
            per_rank=config.train.batch_size_per_gpu,
            rank=world.rank,
            world_size=world.size,
        )
        yield from load_batches(samples, list(plan), num_workers=config.data.num_workers)
        epoch += 1


def maybe_report(config: Config, world: World, total: int) -> AbstractContextManager[Report | None]:
    """The report of the run on rank 0, nothing on the others."""
    if not world.is_main:
        return nullcontext()
    folder = Path(config.train.output_dir)
    return open_report(folder, total, log_every=config.train.log_every, bar=config.train.tqdm)


def open_samples(config: Config, adapter: Adapter, split: str) -> Samples:
    """One split of the data folder, rendered for the model."""
    if not config.data.dir:
        raise UsageError("no data was named; give --data_dir the folder that `phidata convert` wrote")
    return Samples(phidata.load(config.data.dir, split=split), adapter.preprocessor, config.model.max_length)


def check_rows(splits: Mapping[str, Samples], world: World) -> None:
    """Look at every row before anything is trained, each rank at its share; all ranks raise the first problem found."""
    problem = None
    try:
        for samples in splits.values():
            for row in range(world.rank, len(samples), world.size):
                samples.check(row)
    except DataError as error:
        problem = str(error)
    raise_first(world, problem)


def on_main(world: World, action: Callable[[], None]) -> None:
    """Do something on rank 0 only; where it fails, all ranks raise."""
    problem: PhidataError | None = None
    if world.is_main:
        try:
            action()
        except PhidataError as error:
            problem = error
        except OSError as error:
            problem = UsageError(f"{error.filename or 'output'}: {error.strerror or error}")
    found = world.gather(problem)[0]
    if found is not None:
        raise found


def raise_first(world: World, problem: str | None) -> None:
    for found in world.gather(problem):
        if found is not None:
            raise DataError(found)
