"""What a run will take: steps, tokens, operations, time, disk and memory, computed before any weights are read."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from phitrain.config import Config
from phitrain.fit import RESERVE, first_fit, fits, is_tight
from phitrain.flops import StepFlops, Work, step_flops
from phitrain.memory import FP32, MOMENTS, WIDTHS, Memory, memory_of, num_trained
from phitrain.models.phi3v.layers import Layers
from phitrain.peaks import peak_flops
from phitrain.resolve import Hardware

SUPERVISED = 16  # tokens of an answer, where nothing is known of the data
USUAL_MFU = 0.4  # assumed, to turn operations into hours
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One of the run's devices, and how many processes share a host. None: not known."""

    name: str
    memory_bytes: int | None = None
    peak_flops: float | None = None
    processes_a_host: int = 1

    @classmethod
    def here(cls, hardware: Hardware, precision: str) -> Machine:
        """The first device of this host; of a CPU a process has its share of the host's memory."""
        import torch

        processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if hardware.cuda:
            memory = int(torch.cuda.get_device_properties(0).total_memory)
        else:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // processes
        return cls(
            name=hardware.name,
            memory_bytes=memory,
            peak_flops=peak_flops(hardware.name, precision) if hardware.cuda else None,
            processes_a_host=processes,
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run before it is run. All of it is computed, none of it measured.

    Tokens and operations are those of the samples that were looked at, averaged; memory is for the largest of them.
    `hint`: flags with which it would fit, where it does not.
    """

    num_samples: int
    num_looked_at: int
    steps: int
    steps_of_epoch: int
    tokens_of_sample: int
    trained: int
    parameters: int
    flops_of_step: StepFlops
    memory: Memory
    checkpoint_bytes: int
    result_bytes: int
    machine: Machine
    world_size: int
    hint: str | None

    @property
    def seconds_at_peak(self) -> float | None:
        """If every device did as many operations as its maker says; None where that is not known."""
        peak = self.machine.peak_flops
        return None if peak is None else self.steps * self.flops_of_step.model / (peak * self.world_size)

    @property
    def host_bytes(self) -> int:
        """Of one host, for all of its processes."""
        return self.memory.host * self.machine.processes_a_host

    def as_dict(self) -> dict[str, Any]:
        memory = {**asdict(self.memory), "device": self.memory.device}
        computed = {"seconds_at_peak": self.seconds_at_peak, "host_bytes": self.host_bytes}
        return {**asdict(self), "memory": memory, **computed}


def plan_run(
    config: Config,
    layers: Layers,
    world_size: int,
    lengths: Sequence[int],
    num_crops: Sequence[int],
    num_samples: int,
    *,
    num_supervised: Sequence[int] = (),
    machine: Machine | None = None,
) -> Plan:
    """The plan of a settled configuration: `resolve` has chosen precision and attention.

    `lengths`, `num_crops` and `num_supervised`: tokens, crops and trained tokens of some samples. `num_samples`: of an
    epoch.
    """
    train, machine = config.train, machine or Machine(name="device")
    supervised = num_supervised or [min(length, SUPERVISED) for length in lengths]
    usual = _work(_mean(lengths), _mean(num_crops), _mean(supervised), train.batch_size_per_gpu)
    largest = _work(max(lengths), max(num_crops), max(supervised), train.batch_size_per_gpu)
    steps_of_epoch = -(-num_samples // train.batch_size)
    trained = num_trained(layers, config.strategy)
    is_lora = config.strategy.kind in ("lora", "qlora")
    memory = memory_of(config, layers, world_size, largest)
    return Plan(
        num_samples=num_samples,
        num_looked_at=len(lengths),
        steps=train.max_steps or train.num_train_epochs * steps_of_epoch,
        steps_of_epoch=steps_of_epoch,
        tokens_of_sample=_mean(lengths),
        trained=trained,
        parameters=layers.num_values + (trained if is_lora else 0),
        flops_of_step=_flops(config, layers, usual),
        memory=memory,
        checkpoint_bytes=(FP32 + MOMENTS) * trained,
        result_bytes=WIDTHS[config.model.precision] * (trained if is_lora else layers.num_values),
        machine=machine,
        world_size=world_size,
        hint=_hint(config, layers, world_size, largest, memory, machine.memory_bytes),
    )


def plan_lines(plan: Plan, config: Config, world_size: int) -> list[str]:
    """The plan for people."""
    memory, again = plan.memory, _big(plan.flops_of_step.hardware)
    tokens = plan.tokens_of_sample * _samples_of_run(plan, config)
    rows = {
        "processes": f"{world_size}, {plan.machine.name}",
        "samples of an epoch": f"{plan.num_samples:,}, {plan.num_looked_at:,} of them looked at",
        "steps": f"{plan.steps:,} ({plan.steps_of_epoch:,} an epoch), {config.train.batch_size} samples each",
        "tokens": f"{plan.tokens_of_sample:,} a sample on average, {_big(tokens).strip()} in all",
        "trained": f"{plan.trained:,} of {plan.parameters:,} numbers",
        "operations": f"{_big(plan.flops_of_step.model)}FLOP a step; {again}FLOP with what is computed again",
        **_time_rows(plan),
        "memory of a device": _verdict(plan),
        "  weights": _gib(memory.weights),
        "  gradients": _gib(memory.gradients),
        "  optimizer": _gib(memory.optimizer),
        "  activations": f"{_gib(memory.activations)} for the largest of those samples",
        "  buffers": _gib(memory.buffers),
        "  or in the update": f"{_gib(memory.update)} beside weights and optimizer",
        "  or while loading": _gib(memory.loading),
        "memory of a host": f"{_gib(plan.host_bytes)} beside the processes" if memory.host else "that of the processes",
        "disk": f"{_gib(plan.result_bytes)} for the result, {_gib(plan.checkpoint_bytes)} for each checkpoint",
    }
    return [f"{name:<22}{words}" for name, words in rows.items()]


def _samples_of_run(plan: Plan, config: Config) -> float:
    if config.train.max_steps is None:
        return config.train.num_train_epochs * plan.num_samples
    return config.train.max_steps * plan.num_samples / plan.steps_of_epoch


def _flops(config: Config, layers: Layers, work: Work) -> StepFlops:
    micro = step_flops(
        layers,
        config.strategy,
        work,
        checkpointing=config.model.gradient_checkpointing,
        attention=config.model.attention,
    )
    times = config.train.batch_size // config.train.batch_size_per_gpu
    return StepFlops(model=micro.model * times, hardware=micro.hardware * times)


def _hint(
    config: Config, layers: Layers, world_size: int, work: Work, memory: Memory, device_bytes: int | None
) -> str | None:
    """Flags with which the run fits, the nearest to what was asked for first; None where it fits as it is."""
    if device_bytes is None or fits(memory, device_bytes):
        return None
    for kind in (config.strategy.kind, "lora", "qlora"):
        strategy = replace(config.strategy, kind=kind, train_projector=False)
        tried = replace(config, strategy=strategy)
        if (found := first_fit(tried, layers, world_size, work, device_bytes)) is not None:
            return found[0].flags + ("" if kind == config.strategy.kind else f" --strategy {kind}")
    return "fewer --num_crops, or another device"


def _verdict(plan: Plan) -> str:
    found, room = f"{_gib(plan.memory.device)}, computed", plan.machine.memory_bytes
    if room is None:
        return found
    of_room = f"{found}, and {_gib(RESERVE)} assumed for what is not counted, of {_gib(room)}"
    if plan.hint is not None:
        return f"{of_room}: does not fit; try {plan.hint}"
    return f"{of_room}: fits" + (", tightly" if is_tight(plan.memory, room) else "")


def _time_rows(plan: Plan) -> dict[str, str]:
    seconds = plan.seconds_at_peak
    if seconds is None:
        return {}
    usual = f"{_duration(seconds / USUAL_MFU)} if {USUAL_MFU:.0%} of the peak is reached, which is assumed"
    return {"time": f"{_duration(seconds)} at the peak of {plan.world_size} devices, {usual}"}


def _work(tokens: int, crops: int, supervised: int, num_samples: int) -> Work:
    return Work(
        lengths=(tokens,) * num_samples,
        num_crops=crops * num_samples,
        num_supervised=supervised * num_samples,
        shape=(num_samples, tokens),
        num_crops_run=max(1, crops * num_samples),
    )


def _mean(numbers: Sequence[int]) -> int:
    return math.ceil(sum(numbers) / len(numbers))


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.2f} GiB"


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _big(number: float) -> str:
    for unit, size in (("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:,.0f} "
