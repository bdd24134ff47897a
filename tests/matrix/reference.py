"""The plain loop: one process, fp32, eager attention, torch's AdamW, the published schedule, and nothing of DeepSpeed.

It builds model, adapters and 4-bit layers by the libraries themselves, and takes the rows of a step as one batch. What
is packed in 4 bits are the weights in the precision of the run that it is compared with; it computes in fp32 on them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from phitrain.batch import collate

from .cells import LEARNING_RATE, RANK, STEPS, batch_of
from .data import Kept, plan

SEED = 1  # of the adapters' first values
RATIO = 2.0  # alpha for each rank of the adapters, as published
# As published: microsoft/PhiCookBook, the fine-tuning scripts of Phi-3-vision, create_lora_config.
LLM_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head")
VISION_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "img_projection.0", "img_projection.2")
UNUSED = ("vision_model.encoder.layers.2.", "vision_model.post_layernorm.")  # the last of the small model's CLIP blocks


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What the plain loop came to: a number a step, and the trained weights by name before and after."""

    losses: list[float]
    grad_norms: list[float]
    before: dict[str, Tensor]
    after: dict[str, Tensor]


def reference(model: Path, samples: Kept, strategy: str, packed: torch.dtype, skipped: tuple[int, ...]) -> Reference:
    """`packed`: the type of the weights that are quantised, for qlora alone. `skipped`: steps without an update,
    counted from 1, as a loss scale that is too high makes them."""
    module = trained_as(build(model, packed if strategy == "qlora" else None), strategy)
    trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    before = {name: parameter.detach().clone() for name, parameter in trained.items()}
    optimizer = torch.optim.AdamW(groups_of(trained), betas=(0.9, 0.95), eps=1e-7)
    losses, norms = [], []
    module.train()
    size = batch_of(samples.kind)
    for step, (slots,) in enumerate(plan(samples.sampler, size, per_rank=size)):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (step and (STEPS - step) / (STEPS - 1))
        batch = collate([samples[slot] for slot in slots], samples.preprocessor.pad_id)
        loss = module(**batch.inputs, labels=batch.labels, use_cache=False, return_logits=False).loss
        loss.backward()
        for parameter in trained.values():  # without images the vision part decays all the same
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        norms.append(float(nn.utils.clip_grad_norm_(trained.values(), 1.0)))
        if step + 1 not in skipped:
            optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    after = {name: parameter.detach() for name, parameter in trained.items()}
    return Reference(losses=losses, grad_norms=norms, before=before, after=after)


def build(model: Path, packed: torch.dtype | None) -> nn.Module:
    from bitsandbytes.nn.modules import Params4bit
    from transformers import BitsAndBytesConfig

    from phitrain.models.phi3v import Phi3VForCausalLM

    options: dict[str, Any] = {"dtype": packed or torch.float32, "attn_implementation": "eager"}
    if packed is not None:
        nf4 = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": torch.float32}
        options["quantization_config"] = BitsAndBytesConfig(load_in_4bit=True, **nf4)
    module: nn.Module = Phi3VForCausalLM.from_pretrained(model, **options)
    for parameter in module.parameters():
        if not isinstance(parameter, Params4bit):
            parameter.data = parameter.data.float()
    return module


def trained_as(module: nn.Module, strategy: str) -> nn.Module:
    """With what is trained requiring a gradient; the adapters' first values are those of SEED."""
    if "lora" in strategy:
        return _with_lora(module)
    for name, parameter in module.named_parameters():
        frozen = strategy == "frozen-vision" and "vision_embed_tokens" in name
        parameter.requires_grad_(not frozen and not any(part in name for part in UNUSED))
    return module


def groups_of(trained: dict[str, nn.Parameter]) -> list[dict[str, Any]]:
    """Biases and the weights of normalisations do not decay."""
    spared = {name for name in trained if name.endswith("bias") or "norm" in name or "layrnorm" in name}
    decayed = [parameter for name, parameter in trained.items() if name not in spared]
    rest = [trained[name] for name in trained if name in spared]
    return [{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]


def _with_lora(module: nn.Module) -> nn.Module:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=RANK,
        lora_alpha=int(RANK * RATIO),
        target_modules=[*LLM_TARGETS, *VISION_TARGETS],
        exclude_modules=r".*vision_model\.encoder\.layers\.2\..*",
        init_lora_weights="gaussian",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for what it has renamed
        wrapped: nn.Module = get_peft_model(module, config)
    return wrapped
