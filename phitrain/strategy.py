"""What of the model is trained: everything, all but the vision part, or LoRA adapters on a whole or a 4-bit model."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from phitrain.config import StrategyPart
    from phitrain.models.adapter import Adapter


def prepare(module: nn.Module, strategy: StrategyPart, adapter: Adapter) -> nn.Module:
    """The module as the strategy trains it: parameters frozen, or adapters in it."""
    if strategy.kind == "frozen-vision":
        trained = {"llm", "projector"} if strategy.train_projector else {"llm"}
        for name, parameter in module.named_parameters():
            if adapter.part_of(name) not in trained:
                parameter.requires_grad_(False)
    elif strategy.kind in ("lora", "qlora"):
        return with_lora(module, strategy, adapter)
    return module


def with_lora(module: nn.Module, strategy: StrategyPart, adapter: Adapter) -> nn.Module:
    """The module inside a peft model. Adapters take the type of the weights; the optimizer keeps fp32 ones."""
    from peft import get_peft_model

    with warnings.catch_warnings():
        # peft asks transformers for the former name of a method; the reader of a run can not change that.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        peft_model: nn.Module = get_peft_model(module, lora_config(strategy, adapter), autocast_adapter_dtype=False)
    return peft_model


def lora_config(strategy: StrategyPart, adapter: Adapter) -> Any:
    """As the published fine-tuning scripts make it; the layers that never run are left out."""
    from peft import LoraConfig

    targets = adapter.lora_targets
    return LoraConfig(
        r=strategy.lora_rank,
        lora_alpha=round(strategy.lora_rank * strategy.lora_alpha_ratio),
        lora_dropout=strategy.lora_dropout,
        target_modules=[*targets.llm, *(() if strategy.freeze_vision else targets.vision)],
        exclude_modules=targets.unused,
        init_lora_weights="gaussian",
        use_dora=strategy.dora,
        use_rslora=strategy.rslora,
        base_model_name_or_path=adapter.name_or_path,
        task_type="CAUSAL_LM",
    )
