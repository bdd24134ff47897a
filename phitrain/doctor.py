"""What this machine can do: devices, number formats, attention kernels, what DeepSpeed finds, versions, disk.

What can be tried is tried, by one small forward and backward pass; a library that is broken is a finding.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from phidata.errors import UsageError
from phitrain.config import config_from
from phitrain.resolve import PACKAGES as PACKAGES_OF
from phitrain.resolve import Hardware, resolve

Found = dict[str, Any]

# package → what is lost without it
PACKAGES = {
    "torch": "everything: pip install 'phidata-vision[train]'",
    "transformers": "everything: pip install 'phidata-vision[train]'",
    "deepspeed": "training: pip install 'phidata-vision[train]'",
    "peft": "lora and qlora: pip install 'phidata-vision[train]'",
    "bitsandbytes": "qlora: pip install 'phidata-vision[train]'",
    "flash-attn": "flash_attention_2, on CUDA devices only: pip install --no-build-isolation 'phidata-vision[flash]'",
    "wandb": "reporting to Weights & Biases: pip install wandb",
    "trackio": "reporting to trackio: pip install trackio",
}
STRATEGIES = ("full", "frozen-vision", "lora", "qlora")
GIB = 2**30


def doctor() -> Found:
    """Everything that was found, as plain values."""
    import torch

    from phitrain.engine import import_deepspeed

    import_deepspeed()
    hardware = Hardware.here()
    device = torch.device("cuda" if hardware.cuda else "cpu")
    found: Found = {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "devices": _devices(),
        "host": _host(),
        "precisions": {name: _try(partial(_train_linear, name, device)) for name in ("fp32", "bf16", "fp16")},
        "four_bit": _try(lambda: _train_four_bit(device)),
        "attention": {
            "eager": "runs",
            "sdpa": _try(lambda: _attend(device)),
            "flash_attention_2": _try(lambda: _attend_by_flash(hardware)),
        },
        "deepspeed": _deepspeed(),
        "communication": _communication(),
        "disk": _disk(),
        "hub": {"offline": os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0", "false"), "home": str(_hub_home())},
    }
    return {**found, "verdict": _verdict(found, hardware)}


def doctor_lines(found: Found) -> list[str]:
    """The same for people."""
    lines = ["devices"]
    lines += [_row(device["name"], _device_words(device)) for device in found["devices"]]
    host = found["host"]
    lines += [
        _row(
            "host", f"{host['cores']} cores, {_gib(host['memory_bytes'])} memory, {_gib(host['shared_bytes'])} /dev/shm"
        )
    ]
    lines += [_row(f"disk {place}", f"{_gib(free)} free") for place, free in found["disk"].items()]
    lines += ["", "number formats"]
    lines += [_row(name, words) for name, words in {**found["precisions"], "4 bit (nf4)": found["four_bit"]}.items()]
    lines += ["", "attention"]
    lines += [_row(name, words) for name, words in found["attention"].items()]
    lines += ["", "DeepSpeed and communication"]
    lines += [_row(name, words) for name, words in {**found["deepspeed"], **found["communication"]}.items()]
    lines += ["", "versions"]
    lines += [
        _row(name, number or f"not installed; needed for {PACKAGES[name]}")
        for name, number in found["versions"].items()
    ]
    hub = found["hub"]
    lines += ["", "hub", _row("cache", hub["home"]), _row("offline", "yes" if hub["offline"] else "no")]
    lines += ["", "what trains here"]
    return lines + [_row(name, words) for name, words in found["verdict"].items()]


def _try(action: Callable[[], str]) -> str:
    try:
        return action()
    except Exception as error:  # whatever a library or a driver raises is what is to be said
        return f"does not run: {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _devices() -> list[Found]:
    import torch

    if not torch.cuda.is_available():
        return [{"name": f"CPU ({platform.machine()})", "memory_bytes": None, "capability": None}]
    found = []
    for number in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(number)
        capability = f"{properties.major}.{properties.minor}"
        found.append({"name": properties.name, "memory_bytes": properties.total_memory, "capability": capability})
    return found


def _device_words(device: Found) -> str:
    if device["memory_bytes"] is None:
        return "no CUDA device: for tests and trials"
    return f"{_gib(device['memory_bytes'])}, compute capability {device['capability']}"


def _host() -> Found:
    shared = Path("/dev/shm")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "shared_bytes": shutil.disk_usage(shared).total if shared.is_dir() else 0,
    }


def _train_linear(precision: str, device: Any) -> str:
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    layer = torch.nn.Linear(16, 16, device=device, dtype=dtype)
    layer(torch.ones(2, 16, device=device, dtype=dtype)).sum().backward()
    if precision == "bf16" and device.type == "cuda" and not Hardware.here().bf16:
        return "emulated on this GPU (compute capability 8.0 and newer have it): use fp16"
    return "runs"


def _train_four_bit(device: Any) -> str:
    import bitsandbytes
    import torch

    linear: Any = bitsandbytes.nn.Linear4bit  # type: ignore[attr-defined]  # untyped
    layer = linear(64, 64, quant_type="nf4", compute_dtype=torch.float32).to(device)
    inputs = torch.ones(2, 64, device=device, requires_grad=True)
    layer(inputs).sum().backward()
    return "runs" if inputs.grad is not None else "does not run: no gradient comes back"


def _attend(device: Any) -> str:
    import torch

    q = torch.ones(1, 2, 4, 32, device=device, requires_grad=True)
    torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
    return "runs"


def _attend_by_flash(hardware: Hardware) -> str:
    if not hardware.cuda:
        return "does not run: it needs a CUDA device; sdpa takes its place"
    if not hardware.flash:
        return (
            "does not run: it needs compute capability 8.0 and the package flash-attn "
            "(pip install --no-build-isolation 'phidata-vision[flash]'); sdpa takes its place"
        )
    import torch
    from flash_attn import flash_attn_func

    q = torch.ones(1, 4, 2, 32, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    flash_attn_func(q, q, q, causal=True).sum().backward()
    return "runs"


def _deepspeed() -> dict[str, str]:
    tools = [name for name in ("g++", "ninja") if shutil.which(name) is None]
    compiler = f"lacks {' and '.join(tools)}" if tools else "g++ and ninja are there"
    return {
        "ZeRO 0-3": "nothing to compile",
        "offload": "torch's own optimizer on the host, nothing to compile",
        "compiling DeepSpeed ops": f"not needed ({compiler})",
    }


def _communication() -> dict[str, str]:
    import torch
    import torch.distributed as dist

    nccl = "not in this torch"
    if torch.cuda.is_available() and dist.is_nccl_available():
        nccl = ".".join(map(str, torch.cuda.nccl.version()))
    return {"NCCL": nccl, "gloo": "there" if dist.is_gloo_available() else "not in this torch"}


def _hub_home() -> Path:
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME)


def _disk() -> dict[str, int]:
    home = _hub_home()
    existing = next(place for place in (home, *home.absolute().parents) if place.exists())
    return {"here": shutil.disk_usage(Path.cwd()).free, "for the hub's cache": shutil.disk_usage(existing).free}


def _verdict(found: Found, hardware: Hardware) -> dict[str, str]:
    config, notes = resolve(config_from(), 1, hardware)
    words = {"by default": f"--precision {config.model.precision} --attention {config.model.attention}"}
    if notes:
        words["because"] = "; ".join(notes)
    for strategy in STRATEGIES:
        lacks = [name for name in _needs(strategy) if found["versions"][name] is None]
        words[strategy] = f"no: {', '.join(lacks)} is not installed" if lacks else "yes"
    if words["qlora"] == "yes" and found["four_bit"] != "runs":
        words["qlora"] = f"no: 4 bit {found['four_bit']}"
    for flags in (
        {"precision": "bf16"},
        {"precision": "fp16"},
        {"attention": "flash_attention_2", "precision": "bf16"},
    ):
        try:
            resolve(config_from({"model": dict(flags)}), 1, hardware)
        except UsageError as error:
            words[" ".join(flags.values())] = f"no: {error}"
    return words


def _needs(strategy: str) -> tuple[str, ...]:
    return ("torch", "transformers", "deepspeed", *PACKAGES_OF.get(strategy, ()))


def _row(name: str, words: str) -> str:
    return f"  {name:<24} {words}"


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / GIB:.1f} GiB"
