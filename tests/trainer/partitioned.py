"""Models loaded in shares of two ranks, beside the same ones loaded whole; a program of its own, which prints JSON.

torchrun --nproc_per_node=2 partitioned.py MODEL ADAPTERS DAMAGED → what `found_of` says of each type, the furthest
logits with adapters, and what each rank was told about the damaged folder.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch import nn

from phidata.errors import PhidataError
from phitrain.engine import World, close_world, import_deepspeed, open_world
from phitrain.models.adapter import Loading, open_adapter
from phitrain.shards import Stored

IDS = torch.tensor([[1, 32010, 450, 3007, 32007, 32001]])


def main(model: str, adapters: str, damaged: str) -> None:
    world = open_world()
    found = {
        "bfloat16": found_of(model, world, torch.bfloat16, four_bit=False),
        "4 bits": found_of(model, world, torch.bfloat16, four_bit=True),
        "adapters": adapted_logits(adapters),
        "told": world.gather(told(damaged)),
    }
    if world.is_main:
        sys.stdout.write(json.dumps(found) + "\n")
    close_world()


def found_of(folder: str, world: World, dtype: torch.dtype, *, four_bit: bool) -> dict[str, Any]:
    """Whether values and logits are those of the whole model, the share of it that this rank holds, who read."""
    whole = open_adapter(folder).load(loading(dtype, four_bit=four_bit))
    readers = CountingReads()
    shares = open_adapter(folder).load(loading(dtype, four_bit=four_bit, partition=config(dtype)))
    reads = world.gather(readers.stop())
    held = sum(parameter.ds_tensor.numel() for parameter in shares.parameters())  # type: ignore[attr-defined]
    return {
        "same_values": same_values(whole, shares),
        "requires_grad": {n: p.requires_grad for n, p in whole.named_parameters()}
        == {n: p.requires_grad for n, p in shares.named_parameters()},
        "share": held / sum(parameter.numel() for parameter in whole.parameters()),
        "reads": [count > 0 for count in reads],
        "logits": furthest_logits(whole, shares, config(dtype)),
    }


def loading(dtype: torch.dtype, *, four_bit: bool, partition: dict[str, Any] | None = None) -> Loading:
    device = torch.device("cpu")
    return Loading(dtype=dtype, attention="sdpa", device=device, four_bit=four_bit, partition=partition)


def config(dtype: torch.dtype) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": 1,
        "bf16": {"enabled": dtype == torch.bfloat16},
        "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0},
    }


def same_values(whole: nn.Module, shares: nn.Module) -> bool:
    deepspeed = import_deepspeed()
    same = []
    for one, other in zip(whole.parameters(), shares.parameters(), strict=True):
        assert other.numel() == 0
        with deepspeed.zero.GatheredParameters([other]):
            same.append(one.dtype == other.dtype and torch.equal(bytes_of(one), bytes_of(other)))
    return all(same)


def bytes_of(parameter: nn.Parameter) -> torch.Tensor:
    return parameter.data.view(torch.uint8)


def furthest_logits(whole: nn.Module, shares: nn.Module, config: dict[str, Any]) -> float:
    engine, *_ = import_deepspeed().initialize(model=shares, config=config)
    with torch.no_grad():
        one, other = whole(input_ids=IDS).logits, engine(input_ids=IDS).logits
    return float((one - other).abs().max())


def adapted_logits(folder: str) -> float:
    whole = open_adapter(folder).load(loading(torch.float32, four_bit=False))
    shares = open_adapter(folder).load(loading(torch.float32, four_bit=False, partition=config(torch.float32)))
    return furthest_logits(whole, shares, config(torch.float32))


def told(folder: str) -> str:
    try:
        open_adapter(folder).load(loading(torch.float32, four_bit=False, partition=config(torch.float32)))
    except PhidataError as error:
        return str(error)
    return "nothing"


class CountingReads:
    """Counts the tensors that this process reads, until it is stopped."""

    def __init__(self) -> None:
        self.count, self.read_into = 0, Stored.read_into
        read_into = self.read_into

        def counted(stored: Stored, name: str, target: torch.Tensor) -> None:
            self.count += 1
            read_into(stored, name, target)

        Stored.read_into = counted  # type: ignore[method-assign]

    def stop(self) -> int:
        Stored.read_into = self.read_into  # type: ignore[method-assign]
        return self.count


if __name__ == "__main__":
    main(*sys.argv[1:])
