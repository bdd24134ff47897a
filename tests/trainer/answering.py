"""Answers of two ranks, alone and in step; a program of its own, of which rank 0 prints JSON.

torchrun --nproc_per_node=2 answering.py MODEL DATA → {"HISTORY, BATCH, SYNCED": [evaluation, tower calls of each rank]}
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
import torch.distributed as dist

import phidata
from phidata.errors import DataError
from phitrain.batch import Samples
from phitrain.engine import World
from phitrain.evaluate import Asking, evaluate
from phitrain.models.adapter import Loading, open_adapter

TOKENS = 6
ASKED = [("reference", 1, False), ("reference", 2, True), ("reference", 5, False), ("own", 2, False), ("own", 5, True)]


def main(model: str, data: str) -> None:
    dist.init_process_group("gloo")
    world = World(rank=dist.get_rank(), size=dist.get_world_size(), device=torch.device("cpu"))
    adapter = open_adapter(model)
    module = adapter.load(Loading(dtype=torch.float32, attention="sdpa", device=world.device))
    calls: list[Any] = []
    tower = module.get_submodule("model.vision_embed_tokens.img_processor.vision_model")
    tower.register_forward_hook(lambda *_: calls.append(1))
    samples = Samples(phidata.load(data, split="train"), adapter.preprocessor)
    found: dict[str, Any] = {}
    for history, batch, synced in ASKED:
        calls.clear()
        asking = Asking(batch_size=batch, max_new_tokens=TOKENS, history=history, synced=synced, bar=False)
        evaluation = evaluate(adapter, module, {"train": samples}, world, asking, model="m", step=0)
        found[f"{history}, {batch}, {synced}"] = [evaluation, world.gather(len(calls))]
    bad = Samples(phidata.load(data, split="bad"), adapter.preprocessor)
    for synced in (False, True):
        asking = Asking(batch_size=1, max_new_tokens=TOKENS, synced=synced, bar=False)
        try:
            evaluate(adapter, module, {"bad": bad}, world, asking, model="m")
        except DataError as error:
            found[f"bad, {synced}"] = world.gather(str(error))
    dist.destroy_process_group()
    if world.is_main:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
