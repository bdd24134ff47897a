"""A configuration as it runs on this machine: what is left to choose is chosen, what can not run is refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from dataclasses import dataclass

from phidata.errors import UsageError
from phitrain.config import Config

PACKAGES = {"lora": ("peft",), "qlora": ("peft", "bitsandbytes")}  # what a strategy needs beside the others


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a device can do; `flash`: the package flash-attn is there and the device has kernels in it."""

    name: str
    cuda: bool
    bf16: bool
    flash: bool

    @classmethod
    def here(cls) -> Hardware:
        import torch

        cuda = torch.cuda.is_available()
        newer = cuda and torch.cuda.get_device_capability() >= (8, 0)
        has_flash = newer and importlib.util.find_spec("flash_attn") is not None
        name = torch.cuda.get_device_name() if cuda else "CPU"
        return cls(name=name, cuda=cuda, bf16=newer or not cuda, flash=has_flash)


def resolve(config: Config, world_size: int, hardware: Hardware) -> tuple[Config, list[str]]:
    """The configuration with nothing left to choose, and a sentence for each thing that was changed.

    Raises UsageError, with the remedy, for what this device or this number of processes can not do.
    """
    notes: list[str] = []
    precision = _precision(config.model.precision, hardware, notes)
    attention = _attention(config.model.attention, precision, hardware, notes)
    zero = config.train.zero
    if precision in ("bf16", "fp16") and zero == 0:
        zero = 1
        notes.append(f"{precision} with --zero 0 is run as --zero 1, which keeps exact fp32 master weights")
    _check_batch(config, world_size)
    _check_packages(config.strategy.kind)
    model = dataclasses.replace(config.model, precision=precision, attention=attention)
    return dataclasses.replace(config, model=model, train=dataclasses.replace(config.train, zero=zero)), notes


def fit_schedule(config: Config, total: int) -> tuple[Config, list[str]]:
    """The warm-up scaled down to a tenth of a run that is not longer than it."""
    warmup = config.optimizer.warmup_steps
    if warmup < total:
        return config, []
    shorter = min(max(1, total // 10), total - 1) if warmup else 0  # the first step of a warm-up updates nothing
    optimizer = dataclasses.replace(config.optimizer, warmup_steps=shorter)
    steps = "1 step" if total == 1 else f"{total} steps"
    sentence = f"the run has {steps}, no more than its {warmup} warm-up steps: warming up for {shorter}"
    return dataclasses.replace(config, optimizer=optimizer), [sentence] if warmup != shorter else []


def rate_factor(config: Config, step: int, total: int) -> float:
    """What the learning rates are multiplied by in a step, counted from 1.

    As published: 0 in the first step, rising linearly for `warmup_steps`, then falling to 0 after the last one,
    linearly or as half a cosine; or constant.
    """
    done, warmup = step - 1, config.optimizer.warmup_steps
    if done < warmup:
        return done / warmup
    left = (total - done) / max(1, total - warmup)
    if config.optimizer.schedule == "cosine":
        return (1 - math.cos(math.pi * left)) / 2
    return left if config.optimizer.schedule == "linear" else 1.0


def _precision(wanted: str, hardware: Hardware, notes: list[str]) -> str:
    if wanted == "auto":
        if not hardware.cuda:
            return "fp32"
        if not hardware.bf16:
            notes.append("this GPU has no bf16: training in fp16 with a dynamic loss scale")
        return "bf16" if hardware.bf16 else "fp16"
    if wanted == "bf16" and not hardware.bf16:
        raise UsageError("this GPU has no bf16 (compute capability 8.0 and newer have it); use --precision fp16")
    return wanted


def _attention(wanted: str, precision: str, hardware: Hardware, notes: list[str]) -> str:
    if wanted == "auto":
        if hardware.cuda and not hardware.flash:
            notes.append("flash attention does not run here: attention is sdpa (`phitrain doctor` says why)")
        return "flash_attention_2" if hardware.flash and precision != "fp32" else "sdpa"
    if wanted != "flash_attention_2":
        return wanted
    if precision == "fp32":
        raise UsageError("flash_attention_2 computes in half precision only; use --precision bf16, or --attention sdpa")
    if not hardware.cuda:
        raise UsageError("flash_attention_2 needs a CUDA device; use --attention sdpa")
    if not hardware.flash:
        raise UsageError(
            "flash_attention_2 needs a GPU of compute capability 8.0 or newer and the package flash-attn (extra "
            "'flash'); use --attention sdpa"
        )
    return wanted


def _check_packages(kind: str) -> None:
    for package in PACKAGES.get(kind, ()):
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"strategy.kind {kind} needs the package {package}, which is not installed here; run pip install "
                "'phidata-vision[train]'"
            )


def _check_batch(config: Config, world_size: int) -> None:
    per_step = config.train.batch_size_per_gpu * world_size
    if config.train.batch_size % per_step:
        following = math.ceil(config.train.batch_size / per_step) * per_step
        raise UsageError(
            f"--batch_size {config.train.batch_size} is not a multiple of --batch_size_per_gpu "
            f"{config.train.batch_size_per_gpu} times {world_size} processes; the next that is: {following}"
        )
