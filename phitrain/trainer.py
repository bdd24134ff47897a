"""The training run, from top to bottom."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import phidata
from phidata.errors import DataError, UsageError
from phitrain.audit import GradientAudit
from phitrain.batch import Samples, named_worker_death
from phitrain.card import CARD, SUMMARY, read_run, write_card
from phitrain.checkpoint import Checkpoint, Identity, restore, score_checkpoint
from phitrain.config import Config
from phitrain.engine import Engine, World, deepspeed_config, divided
from phitrain.environment import ENVIRONMENT, environment
from phitrain.evaluate import Asking, compare, comparison_lines, evaluate, score_lines
from phitrain.export import save_lora, save_weights
from phitrain.log import LOG, read_log
from phitrain.loop import Course, Loop, is_due
from phitrain.models.adapter import Adapter, Loading, open_adapter
from phitrain.output import RUN_CONFIG, beginning, check_space, open_output, write_json
from phitrain.page import write_report_page
from phitrain.peaks import peak_flops
from phitrain.plan import Machine, Plan, plan_run
from phitrain.quantisation import quantisation_of
from phitrain.report import Report, note, open_report
from phitrain.resolve import Hardware, fit_schedule, resolve
from phitrain.resume import find_start, finished_summary, rewind
from phitrain.sampler import Choice, Sampler, Slot
from phitrain.state import num_parameters, whole_weights
from phitrain.strategy import lora_config, prepare
from phitrain.trackers import choose_trackers

PLANNED_ROWS = 64  # so many are looked at for a plan
COMPARED_ROWS = 64  # about so many of a split are looked at by every rank
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run on one rank: the course that its steps follow, and all splits that it looks at."""

    course: Course
    splits: Mapping[str, Samples]
    world: World
    trackers: tuple[str, ...]

    @property
    def config(self) -> Config:
        return self.course.config

    @property
    def output(self) -> Path:
        return self.course.output


def train(config: Config, world: World) -> Document:
    """Train a model as the configuration says and write the result folder; returns what train_summary.json says.

    Every rank calls it. Raises UsageError and DataError before the model is loaded where that is possible. A run that
    was asked to stop ends early: what it returns has `stopped_at`, its folder a checkpoint and no model.
    """
    run, notes = prepare_run(config, world)
    checkpoint, finished = world.on_main(lambda: begin_output(run, notes))
    if finished is not None:
        return finished
    torch.manual_seed(run.config.train.seed + world.rank)
    engine, audit = start_engine(run)
    world.on_main(lambda: check_room(run, engine))
    if checkpoint is not None:
        restore(checkpoint, engine, world)
    start = 0 if checkpoint is None else checkpoint.step
    is_unmeasured = run.config.eval.before if checkpoint is None else checkpoint.facts["score"] is None
    with maybe_report(run, start) as report, named_worker_death(run.config.data.num_workers):
        if is_unmeasured and (start == 0 or is_due(run.config.eval.every, start)):
            measure(run, engine, report, start)
        loop = Loop(run.course, engine, audit, world, report, start)
        last = loop.run(lambda step: measure(run, engine, report, step))
        if last == run.course.total:
            save_result(run, engine)  # first, so that who interrupts the evaluation has the model
            measure(run, engine, report, last)
    if last < run.course.total:
        world.on_main(lambda: write_report_page(run.output))
        return {"stopped_at": last, "steps": run.course.total}
    return world.on_main(lambda: finish(run, engine))


def prepare_run(config: Config, world: World) -> tuple[Run, list[str]]:
    """Settle the configuration, open model folder and data, look at every row: all that needs no weights."""
    hardware = Hardware.here()
    config, notes = resolve(config, world.size, hardware)
    trackers, told = choose_trackers(config.train.report_to)
    adapter = open_adapter(config.model.name_or_path, config.model.num_crops)
    choice = Choice(questions=config.data.questions, answer=config.data.answer)
    samples = open_samples(config, adapter, config.data.train_split, choice)
    if len(samples) == 0:
        raise DataError(f"split {config.data.train_split!r} of {config.data.dir} has no rows to train on")
    model = adapter.fingerprint()
    world.refuse_others("another configuration", shared_settings(config))
    world.refuse_others("another model", model)
    splits = {name: open_samples(config, adapter, name) for name in config.eval.splits}
    check_rows(splits.values(), world)
    fingerprint = check_rows([samples], world)
    sampler = Sampler(samples.data, choice, config.train.seed)
    epochs = config.train.num_train_epochs * sampler.steps_of_epoch(config.train.batch_size)
    config, more = fit_schedule(config, config.train.max_steps or epochs)
    course = Course(
        config=config,
        adapter=adapter,
        samples=samples,
        sampler=sampler,
        identity=Identity(config=config, data=fingerprint, model=model),
        peak_flops=peak_flops(hardware.name, config.model.precision) if hardware.cuda else None,
    )
    return Run(course=course, splits=splits, world=world, trackers=trackers), [*notes, *told, *more]


def plan_of(config: Config, world_size: int) -> tuple[Config, Plan, list[str]]:
    """The settled configuration and the plan of a run of so many processes, by some of its rows; reads no weights."""
    config, notes = resolve(config, world_size, Hardware.here())
    adapter = open_adapter(config.model.name_or_path, config.model.num_crops)
    choice = Choice(questions=config.data.questions, answer=config.data.answer)
    samples = open_samples(config, adapter, config.data.train_split, choice)
    if len(samples) == 0:
        raise DataError(f"split {config.data.train_split!r} of {config.data.dir} has no rows to train on")
    sampler = Sampler(samples.data, choice, config.train.seed)
    rows = range(0, len(samples), max(1, len(samples) // PLANNED_ROWS))
    looked_at = [samples[Slot(row=row)] for row in rows]
    plan = plan_run(
        config,
        adapter.layers,
        world_size,
        lengths=[len(sample.rendered) for sample in looked_at],
        num_crops=[sample.num_crops for sample in looked_at],
        num_samples=len(sampler),
        num_supervised=[sample.rendered.num_supervised for sample in looked_at],
        machine=Machine.here(Hardware.here(), config.model.precision),
    )
    config, more = fit_schedule(config, plan.steps)
    return config, plan, [*notes, *more]


def begin_output(run: Run, notes: Sequence[str]) -> tuple[Checkpoint | None, Document | None]:
    """Make the folder of the run, or find in it what to go on from: a checkpoint, or the summary of a finished run."""
    train, goes_on = run.config.train, run.config.train.resume_from_checkpoint is not None
    checkpoint = None
    if goes_on:
        if (summary := finished_summary(run.output, run.config)) is not None:
            note(f"{run.output} holds a finished run: nothing is left to do")
            if not (run.output / CARD).is_file():
                write_pages(run.output)
            return None, summary
        checkpoint, told = find_start(run.output, run.course.identity, run.course.total)
        notes = [*notes, *told]
    is_own = checkpoint is None or checkpoint.folder.resolve().parent == run.output.resolve()
    if checkpoint is not None and is_own and (run.output / RUN_CONFIG).is_file():
        notes = [*notes, *rewind(run.output, checkpoint.step)]
    else:  # with the checkpoint of another folder's run, what lies here is not its beginning
        open_output(run.output, overwrite=train.overwrite_output_dir or (goes_on and is_own))
    with beginning(run.output):
        write_json(run.output / RUN_CONFIG, run.config.as_dict())
        write_json(run.output / ENVIRONMENT, environment(Hardware.here().name, run.world.size))
    for sentence in notes:
        note(sentence)
    return checkpoint, None


def start_engine(run: Run) -> tuple[Engine, GradientAudit]:
    """The model, prepared as the strategy says and under DeepSpeed; and the audit that watches its gradients."""
    adapter, config = run.course.adapter, run.config
    module = prepare(load_model(config, adapter, run.world), config.strategy, adapter)
    audit = GradientAudit(adapter, module, run.world)
    return Engine(module, config, run.world, adapter.part_of), audit


def check_room(run: Run, engine: Engine) -> None:
    """Refuse a disk without room for the result and, where they are asked for, a checkpoint."""
    trained, whole = num_parameters(engine)
    size = (trained if is_lora(run.config) else whole) * DTYPES[run.config.model.precision].itemsize
    with beginning(run.output):
        check_space(run.output, size + (12 * trained if run.config.train.save_steps else 0))


def measure(run: Run, engine: Engine, report: Report | None, step: int) -> None:
    """Evaluate after a step the splits that were asked for; write and tell the result, note it in the checkpoint.

    The last evaluation also holds what has changed since the first one.
    """
    if not run.splits:
        return
    course = run.course
    document = evaluate_splits(run.config, course.adapter, engine.module, run.splits, run.world, step=step)
    when = {0: "before", course.total: "after"}.get(step, f"step_{step}")
    if report is not None:
        report.evaluation(document, step)
        for line in score_lines(document):
            note(f"{'at step ' + str(step) if when.startswith('step') else when + ' training'}: {line}")
        if step == course.total and (run.output / "eval_before.json").is_file():
            before = json.loads((run.output / "eval_before.json").read_text("utf-8"))
            document["comparison"] = compare(before, document)
            for line in comparison_lines(document["comparison"]):
                note(line)
    first = next(iter(document["splits"].values()))["scores"][run.config.eval.metrics[0]]["mean"]
    run.world.on_main(lambda: write_json(run.output / f"eval_{when}.json", document))
    run.world.on_main(lambda: score_checkpoint(run.output, step, first))


def save_result(run: Run, engine: Engine) -> None:
    """Write the trained model, or the trained adapters; every rank calls it, the first one writes."""
    config, adapter = run.config, run.course.adapter
    dtype = DTYPES[config.model.precision]

    def save(weights: Iterator[tuple[str, Tensor]]) -> None:
        if is_lora(config):
            lora, quantisation = lora_config(config.strategy, adapter), quantisation_of(engine.module)
            save_lora(adapter, lora, weights, run.output, dtype=dtype, quantisation=quantisation)
        else:
            save_weights(adapter, weights, run.output, dtype=dtype)

    run.world.write_on_main(whole_weights(engine, trained_only=is_lora(config)), save)


def finish(run: Run, engine: Engine) -> Document:
    """Write the summary, the model card and the page of the run."""
    steps = read_log(run.output / LOG)
    trained, whole = num_parameters(engine)
    seconds = sum(step["seconds"] for step in steps)
    summary: Document = {
        "steps": steps[-1]["step"],
        "first_loss": steps[0]["loss"],  # None where it is not finite
        "last_loss": steps[-1]["loss"],
        "tokens_per_s": sum(step["tokens_per_s"] * step["seconds"] for step in steps) / seconds,
        "images_per_s": sum(step["images_per_s"] * step["seconds"] for step in steps) / seconds,
        "samples_per_s": sum(step["samples_per_s"] * step["seconds"] for step in steps) / seconds,
        "peak_memory_bytes": max(step["peak_memory_bytes"] for step in steps),
        "seconds": seconds,
        "skipped_steps": sum(step["skipped"] for step in steps),
        "world_size": run.world.size,
        "trained_parameters": trained,
        "parameters": whole,
    }
    write_json(run.output / SUMMARY, summary)
    write_pages(run.output)
    return summary


def write_pages(output: Path) -> None:
    """The page of a finished run, and its model card."""
    files = read_run(output)
    assert files is not None
    write_report_page(output)
    write_card(output, files.config, files.summary, files.evaluations)


def evaluate_model(config: Config, world: World) -> Document:
    """Load a model and evaluate it on the configuration's splits: what an evaluation file says."""
    config, notes = resolve(config, world.size, Hardware.here())
    adapter = open_adapter(config.model.name_or_path, config.model.num_crops)
    splits = {name: open_samples(config, adapter, name) for name in config.eval.splits}
    check_rows(splits.values(), world)
    for sentence in notes if world.is_main else []:
        note(sentence)
    module = load_model(config, adapter, world)
    if config.train.zero == 3:
        module = divided(module, config, world)
    return evaluate_splits(config, adapter, module, splits, world)


def evaluate_splits(
    config: Config,
    adapter: Adapter,
    module: nn.Module,
    splits: Mapping[str, Samples],
    world: World,
    *,
    step: int | None = None,
) -> Document:
    asking = Asking(
        metrics=config.eval.metrics,
        history=config.eval.history,
        batch_size=config.eval.batch_size,
        max_new_tokens=config.eval.max_new_tokens,
        num_workers=config.data.num_workers,
        bar=config.train.tqdm,
        synced=config.train.zero == 3,
    )
    return evaluate(adapter, module, splits, world, asking, model=config.model.name_or_path, step=step)


def load_model(config: Config, adapter: Adapter, world: World) -> nn.Module:
    four_bit = config.strategy.kind == "qlora"
    # What starts from whole weights: layers in 4 bits, and the lengths that DoRA learns.
    is_divided = config.train.zero == 3 and not four_bit and not config.strategy.dora
    return adapter.load(
        Loading(
            dtype=DTYPES[config.model.precision],
            attention=config.model.attention,
            device=world.device,
            checkpointing=config.model.gradient_checkpointing,
            four_bit=four_bit,
            partition=deepspeed_config(config, world) if is_divided else None,
        )
    )


def is_lora(config: Config) -> bool:
    return config.strategy.kind in ("lora", "qlora")


def maybe_report(run: Run, start: int) -> AbstractContextManager[Report | None]:
    """The report of the run on rank 0, nothing on the others."""
    if not run.world.is_main:
        return nullcontext()
    return open_report(
        run.output,
        run.course.total,
        log_every=run.config.train.log_every,
        bar=run.config.train.tqdm,
        resume_at=start or None,
        trackers=run.trackers,
        config=run.config.as_dict(),
    )


def open_samples(config: Config, adapter: Adapter, split: str, choice: Choice | None = None) -> Samples:
    """One split of the data folder, rendered for the model."""
    if not config.data.dir:
        raise UsageError("no data was named; give --data_dir the folder that `phidata convert` wrote")
    data = phidata.load(config.data.dir, split=split)
    return Samples(data, adapter.preprocessor, config.model.max_length, choice)


def shared_settings(config: Config) -> Document:
    """What has to be the same for all ranks: places may have other names on other machines."""
    settings = config.as_dict()
    for section, name in (("model", "name_or_path"), ("data", "dir"), ("train", "output_dir")):
        del settings[section][name]
    return settings


def check_rows(splits: Iterable[Samples], world: World) -> str:
    """Look at every row before anything is trained, each rank at its share; all ranks raise the first problem found.

    Returns a fingerprint of the rows, the same for any number of ranks. Raises UsageError where ranks see other rows.
    """
    problem: DataError | None = None
    sum_of_digests, seen = 0, []
    try:
        for samples in splits:
            some = range(0, len(samples), max(1, len(samples) // COMPARED_ROWS))
            seen.append((len(samples), [digest(samples.data[row], row) for row in some]))
            for row in range(world.rank, len(samples), world.size):
                samples.check(row)
                sum_of_digests += digest(samples.data[row], row)
    except DataError as error:
        problem = error
    world.raise_first(problem)
    world.refuse_others("other rows", seen)
    return f"{sum(world.gather(sum_of_digests)) % (1 << 128):032x}"


def digest(conversation: phidata.Conversation, row: int) -> int:
    """A number for a row and its place."""
    told = f"{row} {conversation!r}".encode()
    return int.from_bytes(hashlib.blake2b(told, digest_size=16).digest(), "big")
