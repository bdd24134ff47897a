"""How the base model of a QLoRA run was held, so that merging starts from the weights that were trained on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from phidata.errors import DataError
from phitrain.output import QUANTISATION, write_json

if TYPE_CHECKING:
    from phitrain.models.adapter import Adapter

BLOCK = 64  # values that share a scale, as bitsandbytes has it
PEFT = ("base_model.model.", ".base_layer")


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """The linear layers of the base model, by name, that were held as NF4 with scales quantised a second time.

    `dtype` is the type that a weight had before and gets again when it is used: bfloat16, float16 or float32.
    """

    dtype: str
    modules: tuple[str, ...]

    def save(self, folder: Path) -> None:
        kind = {"quant_type": "nf4", "double_quant": True, "block_size": BLOCK}
        write_json(folder / QUANTISATION, {**kind, **asdict(self)})

    def restored(self, name: str, weight: Tensor) -> Tensor:
        """What the run saw of a tensor of the base model: weights of quantised layers with the error of four bits."""
        seen = weight.to(getattr(torch, self.dtype))
        return nf4_and_back(seen) if name.removesuffix(".weight") in self.modules else seen


def quantisation_of(module: nn.Module) -> Quantisation | None:
    """What of a model, with or without adapters in it, is in four bits; None where nothing is."""
    layers = _four_bit_layers(module)
    if not layers:
        return None
    (dtype,) = {str(layer.weight.quant_state.dtype).removeprefix("torch.") for layer in layers.values()}
    return Quantisation(dtype=dtype, modules=tuple(layers))


def quantisation_by_rule(adapter: Adapter, dtype: torch.dtype) -> Quantisation:
    """What `quantisation_of` says of the adapter's model when it is loaded in four bits, without loading it."""
    from phitrain.models.filling import quantise

    skeleton = adapter.skeleton()
    quantise(skeleton, dtype)
    return Quantisation(dtype=str(dtype).removeprefix("torch."), modules=tuple(_four_bit_layers(skeleton)))


def read_quantisation(folder: Path) -> Quantisation | None:
    """The record in an adapter folder; None where there is none. Raises DataError for one that says something else."""
    path = folder / QUANTISATION
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
        kind = (found["quant_type"], found["double_quant"], found["block_size"])
        record = Quantisation(dtype=found["dtype"], modules=tuple(found["modules"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a record of a quantised model ({error}); copy it there again") from error
    if kind != ("nf4", True, BLOCK) or record.dtype not in ("bfloat16", "float16", "float32"):
        raise DataError(f"{path} says {kind} from {record.dtype}; only NF4 in blocks of {BLOCK}, twice, is known")
    return record


def nf4_and_back(weight: Tensor) -> Tensor:
    """A weight as a 4-bit layer uses it: quantised to NF4 in blocks of 64, the scales to 8 bits, and dequantised.

    Dettmers et al. 2023, QLoRA, section 3; computed by bitsandbytes, in the type of `weight`.
    """
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(weight.contiguous(), blocksize=BLOCK, compress_statistics=True, quant_type="nf4")
    back: Tensor = dequantize_4bit(packed, state)
    return back


def _four_bit_layers(module: nn.Module) -> dict[str, Any]:
    """By the names of the published model, whether there are adapters in it or not."""
    from bitsandbytes.nn.modules import Linear4bit

    prefix, suffix = PEFT
    return {
        name.removeprefix(prefix).removesuffix(suffix): layer
        for name, layer in module.named_modules()
        if isinstance(layer, Linear4bit)
    }
