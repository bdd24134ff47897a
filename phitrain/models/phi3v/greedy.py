"""The most probable answers to a batch of prompts, token by token; where asked, in step with all other ranks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from phitrain.models.phi3v.modeling import CACHE_NAMES


@torch.no_grad()
def greedy(
    module: nn.Module,
    ids: Tensor,
    mask: Tensor,
    images: dict[str, Tensor],
    *,
    max_new_tokens: int,
    stops: Collection[int],
    synced: bool = False,
) -> list[list[int]]:
    """For each row of `ids` (batch, tokens), padded on the left where `mask` is 0, its tokens up to the first stop.

    `module` is a Phi3VForCausalLM, bare or inside a peft model. Where a row outgrows the short RoPE factors, its batch
    is computed anew from the images on.

    `synced`: every rank calls this at the same time, and all run the same modules at every step, as ZeRO stage 3
    needs: they go on until the rows of all are answered, and a step in which any rank computes from the images on
    runs the vision tower on all, on an empty crop where a rank shows no image or goes on from its cache.
    """
    num_prompt, ends = ids.shape[1], torch.tensor(sorted(stops), device=ids.device)
    unfinished = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    cache: dict[str, Any] = {}
    any_from_start = True
    for _ in range(max_new_tokens):
        logits, cache = _step(module, ids, mask, cache, images, idle_tower=synced and any_from_start)
        tokens = logits.argmax(-1)
        unfinished = unfinished & ~torch.isin(tokens, ends)
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        # What a finished row says further on counts as padding: it must not outgrow anything.
        mask = torch.cat([mask, unfinished[:, None].to(mask.dtype)], dim=1)
        if _outgrows(module, mask):
            cache = {}
        any_unfinished, any_from_start = _on_any_rank([bool(unfinished.any()), not cache], ids.device, synced=synced)
        if not any_unfinished:
            break
    return [_up_to_stop(answer, stops) for answer in ids[:, num_prompt:].tolist()]


def _step(
    module: nn.Module,
    ids: Tensor,
    mask: Tensor,
    cache: dict[str, Any],
    images: dict[str, Tensor],
    *,
    idle_tower: bool,
) -> tuple[Tensor, dict[str, Any]]:
    """(batch, vocabulary) of the next token, and the cache by its name; without a cache all is computed."""
    new = slice(-1, None) if cache else slice(None)
    output = module(
        input_ids=ids[:, new],
        attention_mask=mask,
        position_ids=((mask.cumsum(-1) - 1) * mask)[:, new],
        use_cache=True,
        logits_to_keep=1,
        idle_tower=idle_tower,
        **(cache or images),
    )
    name = next(name for name in CACHE_NAMES if output.get(name) is not None)  # the older one is there too, deprecated
    return output.logits[:, -1], {name: output[name]}


def _outgrows(module: nn.Module, mask: Tensor) -> bool:
    """Whether the newest token of any row is the first beyond the short factors, with which its cache was filled."""
    config: Any = module.config
    if config.rope_scaling is None:
        return False
    first_beyond = config.original_max_position_embeddings + 1
    return bool(((mask.sum(-1) == first_beyond) & mask[:, -1].bool()).any())


def _on_any_rank(flags: list[bool], device: torch.device, *, synced: bool) -> list[bool]:
    if not synced:
        return flags
    found = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(found, op=dist.ReduceOp.MAX)
    return [bool(flag) for flag in found.tolist()]


def _up_to_stop(answer: Sequence[int], stops: Collection[int]) -> list[int]:
    end = next((place for place, token in enumerate(answer) if token in stops), len(answer))
    return list(answer[:end])
