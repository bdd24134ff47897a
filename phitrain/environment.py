"""What a run ran with: versions and devices, kept beside its configuration."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

ENVIRONMENT = "environment.json"
PACKAGES = (
    "phidata-vision",
    "torch",
    "deepspeed",
    "transformers",
    "peft",
    "bitsandbytes",
    "flash-attn",
    "safetensors",
    "tokenizers",
    "numpy",
    "pillow",
)


def environment(device: str, world_size: int) -> dict[str, str]:
    """Names and values: the machine, the processes on it, python, and those of the packages that are installed."""
    return {
        "device": device,
        "processes": str(world_size),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _installed(name)) is not None},
    }


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
