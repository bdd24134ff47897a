"""A cell as phitrain trains it, from the configuration to the weights, and its distance from the plain loop."""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from phitrain.checkpoint import Identity
from phitrain.config import Config, Values
from phitrain.engine import Engine, World
from phitrain.loop import Course, Loop
from phitrain.models.adapter import Adapter, open_adapter
from phitrain.report import Step
from phitrain.resolve import Hardware
from phitrain.state import read_state, trainable, whole_weights
from phitrain.trainer import DTYPES, Run, start_engine

from .cells import Cell, resolved
from .data import Kept
from .reference import SEED, Reference, reference


class Told(list[Step]):
    """Keeps each step, in place of a report."""

    def begin(self) -> None:
        pass

    __call__ = list.append


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to, and how far it is from the plain loop.

    `loss` and `grad_norm`: the largest relative difference of a step; the gradient of a skipped step is not compared,
    and the plain loop leaves out the same updates. `weights`: the length of the difference of all
    trained weights, relative to the way that the plain loop took them. `breaches` has to be empty: by what is broken,
    the names of the tensors that break it.
    """

    losses: list[float]
    grad_norms: list[float]
    skipped: int
    loss: float
    grad_norm: float
    weights: float
    breaches: dict[str, list[str]]


class Place:
    """A model and rows, opened once for many runs."""

    def __init__(self, model: Path, data: Path, world: World) -> None:
        self.model, self.world = model, world
        self.adapter: Adapter = open_adapter(str(model))
        self.samples = cache(lambda kind: Kept(data, kind, self.adapter.preprocessor))
        self.reference = cache(lambda kind, *how: reference(model, self.samples(kind), *how))

    def course(self, config: Config, kind: str) -> Course:
        samples = self.samples(kind)
        return Course(
            config=config,
            adapter=self.adapter,
            samples=samples,
            sampler=samples.sampler,
            identity=Identity(config=config, data="", model=""),
            peak_flops=None,
        )


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run's engine, the steps that it told (on the first rank), and the bytes of the frozen weights before it."""

    engine: Engine
    steps: list[Step]
    frozen: dict[str, Tensor]


def train(place: Place, config: Config, kind: str) -> Trained:
    """Every rank calls it."""
    run = Run(course=place.course(config, kind), splits={}, world=place.world, trackers=())
    torch.manual_seed(SEED + place.world.rank)
    engine, audit = start_engine(run)
    frozen = frozen_weights(engine)
    told = Told()
    report = told if place.world.is_main else None
    loop = Loop(run.course, engine, audit, place.world, report, 0)  # type: ignore[arg-type]  # what a loop needs of it
    loop.run(lambda _: None)
    return Trained(engine=engine, steps=told, frozen=frozen)


def frozen_weights(engine: Engine) -> dict[str, Tensor]:
    trained = {name for name, _ in trainable(engine)}
    weights = whole_weights(engine, trained_only=False)
    # As bytes: what is packed in four bits may read as a number that equals nothing.
    return {name: tensor.contiguous().view(torch.uint8).clone() for name, tensor in weights if name not in trained}


def outcome(place: Place, cell: Cell, more: Values | None = None) -> Outcome:
    """Run a cell and compare it with the plain loop; every rank calls it, only the first has the steps to compare."""
    config, _ = resolved(cell, Hardware.here(), more or {})
    run = train(place, config, cell.data)
    dtype = DTYPES[config.model.precision]
    skipped = place.world.gather(tuple(step.step for step in run.steps if step.skipped))[0]
    packed = dtype if cell.strategy == "qlora" else torch.float32
    plain = place.reference(cell.data, cell.strategy, packed, skipped)
    state = {key: value.cpu().clone() for key, value in read_state(run.engine)}
    master = {key.removeprefix("master/"): value for key, value in state.items() if key.startswith("master/")}
    breaches = _breaches(run, master, plain, dtype)
    reached = [name for name in master if cell.data != "text only" or place.adapter.part_of(name) == "llm"]
    reached = [name for name in reached if not place.adapter.may_have_zero_gradient(name)]
    breaches["had no gradient"] = [name for name in reached if not state[f"exp_avg/{name}"].any()]
    free(run.engine)
    losses, norms = [step.loss for step in run.steps], [step.grad_norm for step in run.steps]
    return Outcome(
        losses=losses,
        grad_norms=norms,
        skipped=len(skipped),
        loss=_furthest(losses, plain.losses),
        grad_norm=_furthest(norms, plain.grad_norms),
        weights=_length(master, plain.after) / _length(plain.before, plain.after),
        breaches={what: names for what, names in breaches.items() if names},
    )


def free(engine: Engine) -> None:
    """Give back the memory of a run. DeepSpeed keeps engines of stage 3 for good; their tensors need not stay."""
    optimizer = engine.optimizer
    engine.deepspeed.destroy()
    if engine.stage == 3:
        optimizer.optimizer.state.clear()
        shares = [parameter.ds_tensor for parameter in engine.module.parameters()]  # type: ignore[attr-defined]
        for tensor in (*optimizer.fp32_partitioned_groups_flat, *optimizer.fp16_partitioned_groups_flat, *shares):
            tensor.data = torch.empty(0)
    gc.collect()


def _furthest(found: list[float], expected: list[float]) -> float:
    pairs = [(one, other) for one, other in zip(found, expected, strict=False) if math.isfinite(one)]
    return max((abs(one / other - 1) for one, other in pairs), default=0.0)


def _length(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return math.hypot(*(float((one[name] - other[name]).norm()) for name in one.keys() & other.keys()))


def _breaches(run: Trained, master: dict[str, Tensor], plain: Reference, dtype: torch.dtype) -> dict[str, list[str]]:
    weights = {name: tensor.cpu().clone() for name, tensor in whole_weights(run.engine, trained_only=True)}
    frozen = frozen_weights(run.engine)
    found = {
        "trained by one and not by the other": sorted(master.keys() ^ plain.after.keys()),
        "frozen and changed": [name for name in frozen if not torch.equal(frozen[name], run.frozen[name])],
        "not the rounded master weights": [
            name for name in master if not torch.equal(weights[name], master[name].to(dtype))
        ],
    }
    if dtype != torch.float32:
        # An update below half a unit in the last place has to last: it is in the master weights alone.
        moved = [name for name in plain.after if not torch.equal(plain.before[name], plain.after[name])]
        found["master weights are no finer"] = [name for name in moved if torch.equal(master[name], weights[name])]
    return found
