"""A cell as phitrain trains it, from the resolved configuration to the weights, and how far from the plain loop it is."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping
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
from phitrain.state import read_state, trainable, whole_weights
from phitrain.trainer import DTYPES, Run, load_model, start_engine
from phitrain.resolve import Hardware

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

    `loss` and `grad_norm`: the largest relative difference of a step. `weights`: the length of the difference of all
    trained weights, relative to the way that the plain loop took them; `furthest`: the largest difference of one.
    The rest is what has to be empty: names of tensors that break what a sentence of `breaches` says.
    """

    losses: list[float]
    grad_norms: list[float]
    loss: float
    grad_norm: float
    weights: float
    furthest: float
    breaches: dict[str, list[str]]


class Place:
    """A model and rows, opened once for many runs."""

    def __init__(self, model: Path, data: Path, world: World) -> None:
        self.model, self.world = model, world
        self.adapter: Adapter = open_adapter(str(model))
        self.samples = cache(lambda kind: Kept(data, kind, self.adapter.preprocessor))
        self.reference = cache(lambda kind, strategy: reference(model, self.samples(kind), strategy))

    def course(self, config: Config, kind: str) -> Course:
        samples = self.samples(kind)
        identity = Identity(config=config, data="", model="")
        options = {"adapter": self.adapter, "samples": samples, "sampler": samples.sampler, "peak_flops": None}
        return Course(config=config, identity=identity, **options)


def trained(place: Place, config: Config, kind: str) -> tuple[Engine, list[Step]]:
    """A run's steps (on the first rank) and what it leaves; every rank calls it."""
    run = Run(course=place.course(config, kind), splits={}, world=place.world, trackers=())
    torch.manual_seed(SEED + place.world.rank)
    engine, audit = start_engine(run)
    told = Told()
    report = told if place.world.is_main else None
    loop = Loop(run.course, engine, audit, place.world, report, 0)  # type: ignore[arg-type]  # what a loop needs of it
    loop.run(lambda step: None)
    return engine, told


def end(engine: Engine) -> None:
    """Free what a run holds."""
    engine.deepspeed.destroy()
    gc.collect()
