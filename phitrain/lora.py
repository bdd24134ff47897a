"""LoRA adapters as files: peft's names, and the weights that they make of a base model's."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from phidata.errors import DataError, UsageError
from phitrain.shards import Stored, weight_files

if TYPE_CHECKING:
    from phitrain.models.adapter import Adapter

CONFIG = "adapter_config.json"
STEM = "adapter_model"
PREFIX = "base_model.model."  # peft's, before the names of the base model
PARTS = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "base_layer.weight")
ADAPTER = "default"  # peft's name for the only adapter; it stands in parameters' names and not in files
# What changes the mathematics and is not merged here; their values where they are not used.
UNUSED: dict[str, tuple[Any, ...]] = {
    "alpha_pattern": ({}, None),
    "rank_pattern": ({}, None),
    "bias": ("none", None),
    "lora_bias": (False, None),
    "modules_to_save": ([], None),
    "fan_in_fan_out": (False, None),
    "trainable_token_indices": (None,),
    "target_parameters": ([], None),
}


def saved_name(parameter: str) -> str:
    """The name in the file of a parameter of a peft model: without the adapter's name, a DoRA vector without weight."""
    name = parameter.replace(f".{ADAPTER}.weight", ".weight")
    return name.removesuffix(".weight") if name.endswith(".lora_magnitude_vector.weight") else name


def lora_shapes(adapter: Adapter, config: Any) -> dict[str, tuple[int, ...]]:
    """The tensors that adapters of peft's LoraConfig have on this model, by their names in the file."""
    from peft import inject_adapter_in_model

    skeleton = adapter.skeleton()
    module = inject_adapter_in_model(copy.deepcopy(config), skeleton, adapter_name=ADAPTER, low_cpu_mem_usage=True)
    return {
        PREFIX + saved_name(name): tuple(tensor.shape)
        for name, tensor in module.state_dict().items()
        if ".lora_" in name
    }


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What LoRA changes of one weight (out, in): `a` (rank, in), `b` (out, rank) and, for DoRA, `magnitude` (out)."""

    a: Tensor
    b: Tensor
    scaling: float
    magnitude: Tensor | None

    def added_to(self, weight: Tensor) -> Tensor:
        """The merged weight, computed in float32.

        W + s B A (Hu et al. 2021, LoRA, section 4.1); with DoRA each row of it scaled to the length that was learned,
        m (W + s B A) / |W + s B A| (Liu et al. 2024, DoRA, equation 5).
        """
        merged: Tensor = torch.addmm(weight.float(), self.b.float(), self.a.float(), alpha=self.scaling)
        if self.magnitude is None:
            return merged
        lengths: Tensor = torch.linalg.vector_norm(merged, dim=1)
        return merged * (self.magnitude.float() / lengths)[:, None]


class LoraFolder:
    """An adapter folder as `phitrain train` or peft writes it; the weights are read layer by layer."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError for a folder without adapters or with some that can not be merged here, DataError for
        damaged files."""
        self.folder = folder
        self.config = _read_config(folder)
        self._stored = Stored(weight_files(folder, STEM))
        self.modules = self._modules()

    @property
    def base(self) -> str:
        """The model that the adapters were trained on, as it was named then."""
        return str(self.config.get("base_model_name_or_path") or "")

    def delta(self, module: str) -> Delta | None:
        """The change of a layer's weight, None where the layer has no adapter."""
        if module not in self.modules:
            return None
        a, b = self._read(module, "lora_A.weight"), self._read(module, "lora_B.weight")
        magnitude = self._read(module, "lora_magnitude_vector") if self.config.get("use_dora") else None
        return Delta(a=a, b=b, scaling=self._scaling(len(a)), magnitude=magnitude)

    def own_base_weight(self, module: str) -> Tensor | None:
        """The base model's weight, where the file has it too: peft adds an lm_head that is a target."""
        part = "base_layer.weight"
        return self._read(module, part) if f"{PREFIX}{module}.{part}" in self._stored.entries else None

    def _modules(self) -> dict[str, tuple[int, int]]:
        """(out, in) of each layer with adapters. Raises DataError where the tensors of one do not fit together."""
        layers: dict[str, dict[str, tuple[int, ...]]] = {}
        for name, entry in self._stored.entries.items():
            part = next((part for part in PARTS if name.endswith(f".{part}")), "")
            layers.setdefault(name.removeprefix(PREFIX).removesuffix(f".{part}"), {})[part] = entry.shape
        modules = {}
        for module, shapes in layers.items():
            a, b = shapes.get("lora_A.weight", ()), shapes.get("lora_B.weight", ())
            magnitude = b[:1] if self.config.get("use_dora") else None
            if len(a) != 2 or len(b) != 2 or a[0] != b[1] or shapes.get("lora_magnitude_vector") != magnitude:
                raise DataError(f"{self.folder}: the adapter of {module} is not whole; copy the folder there again")
            modules[module] = (b[0], a[1])
        return modules

    def _scaling(self, rank: int) -> float:
        """alpha / rank; with rsLoRA alpha / sqrt(rank) (Kalajdzievski 2023, theorem 3.2)."""
        alpha = float(self.config["lora_alpha"])
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def _read(self, module: str, part: str) -> Tensor:
        return self._stored.read(f"{PREFIX}{module}.{part}")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise UsageError(f"{folder} is not an adapter folder: it has no {CONFIG}; give one that a LoRA run wrote")
    try:
        config = json.loads(path.read_text("utf-8"))
        kind = config["peft_type"], float(config["lora_alpha"])
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a LoRA configuration ({error}); copy it there again") from error
    if kind[0] != "LORA":
        raise UsageError(f"{path} has peft_type {kind[0]!r}; only 'LORA' is merged here, use peft's merge_and_unload")
    for name, unused in UNUSED.items():
        if config.get(name) not in unused:
            raise UsageError(
                f"{path} has {name} = {config[name]!r}, which is not merged here; use peft's merge_and_unload"
            )
    return dict(config)
