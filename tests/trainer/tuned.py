"""Models with adapters that have something to say: what a LoRA run would hand back, without the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from phitrain.config import StrategyPart
from phitrain.export import save_lora
from phitrain.models.adapter import Adapter, Loading, open_adapter
from phitrain.quantisation import quantisation_of
from phitrain.strategy import prepare

KINDS = {
    "lora": StrategyPart(kind="lora", lora_rank=4),
    "dora": StrategyPart(kind="lora", lora_rank=4, dora=True),
    "rslora": StrategyPart(kind="lora", lora_rank=4, rslora=True),
    "qlora": StrategyPart(kind="qlora", lora_rank=4),
    "llm only": StrategyPart(kind="lora", lora_rank=4, freeze_vision=True),
}
CPU = torch.device("cpu")
# peft asks transformers for a property by the name that it had.
PEFT_WARNS = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def loaded(adapter: Adapter, dtype: torch.dtype = torch.float32, *, four_bit: bool = False) -> Any:
    """The adapter's model, with eager attention."""
    return adapter.load(Loading(dtype=dtype, attention="eager", device=CPU, four_bit=four_bit))


def tuned(model_folder: Path, kind: str, dtype: torch.dtype = torch.float32) -> tuple[Adapter, Any]:
    """A peft model whose adapters change its output, and the adapter it was made with."""
    adapter, strategy = open_adapter(str(model_folder)), KINDS[kind]
    base = loaded(adapter, dtype, four_bit=strategy.kind == "qlora")
    module: Any = prepare(base, strategy, adapter)
    random = torch.Generator().manual_seed(1)
    for name, parameter in module.named_parameters():
        if ".lora_B." in name:
            parameter.data = (torch.randn(parameter.shape, generator=random) / 20).to(parameter.dtype)
        elif ".lora_magnitude_vector." in name:
            parameter.data *= 1.1
    return adapter, module.eval()


def save_tuned(adapter: Adapter, module: Any, folder: Path) -> None:
    """What a run writes of it."""
    weights = [(name, tensor) for name, tensor in module.named_parameters() if ".lora_" in name]
    config, quantisation = module.peft_config["default"], quantisation_of(module)
    save_lora(adapter, config, weights, folder, dtype=torch.float32, quantisation=quantisation)


@torch.no_grad()
def logits(module: Any) -> Tensor:
    """(1, tokens, vocabulary) in float32 for a prompt with one picture."""
    ids = torch.tensor([[1, 32010, 29871, 13, *([32044] * 313), 1, 29871, 13, 5618, 32007]])
    pixels = torch.linspace(-1, 1, 2 * 3 * 336 * 336).view(2, 3, 336, 336)
    sizes = torch.tensor([[336, 336]])
    given = {"input_ids": ids, "pixel_values": pixels, "image_sizes": sizes, "use_cache": False}
    found: Tensor = module(**given).logits
    return found


def furthest(one: Tensor, other: Tensor) -> float:
    """The largest difference of any value."""
    return float((one - other).abs().max())
