"""Trains two steps in each of the given ways and prints, a line each, the bytes of all tensors beside the plan's.

python weighing.py ZERO:PRECISION:OFFLOAD:STRATEGY:CHECKPOINTING …
"""

from __future__ import annotations

import json
import logging
import sys
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import phitrain.engine
import phitrain.memory
from phitrain.config import Config, config_from
from phitrain.engine import Engine, World, close_world, import_deepspeed, open_world
from phitrain.flops import Work
from phitrain.memory import memory_of
from phitrain.models.adapter import LoraTargets, Phi3VAdapter
from phitrain.models.phi3v import Phi3VConfig, Phi3VForCausalLM
from phitrain.models.phi3v.layers import layers_of
from phitrain.strategy import prepare

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
ROWS, CROPS, TOKENS, SUPERVISED = 313, 2, 600, 8
ACCUMULATED = 2


class Scales(TorchDispatchMode):
    """Adds up the storage of every tensor that is made, until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.most = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def put(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, num_bytes = id(storage), storage.nbytes()
        known = self._known.get(key)
        if tensor.device.type == "meta" or (known is not None and known() is storage):
            return
        self.live += num_bytes
        self.most = max(self.most, self.live)
        self._known[key] = weakref.ref(storage, lambda gone: self._take(key, num_bytes, gone))

    def _take(self, key: int, num_bytes: int, gone: weakref.ref[Any]) -> None:
        self.live -= num_bytes
        if self._known.get(key) is gone:
            del self._known[key]

    def __torch_dispatch__(self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self.put(leaf)
        return made


class Named(Phi3VAdapter):
    """What is asked of an adapter here, without a folder."""

    def __init__(self, config: Phi3VConfig) -> None:
        self.name_or_path = "here"
        self.config = config

    @property
    def lora_targets(self) -> LoraTargets:
        full = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "img_projection.0", "img_projection.2")
        llm = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head")
        return LoraTargets(llm, full, r".*\.vision_model\.encoder\.layers\.(4)\..*")


def model_config() -> Phi3VConfig:
    clip = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 5, "num_attention_heads": 2}
    return Phi3VConfig(
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        vocab_size=2000,
        pad_token_id=0,
        vision_config=clip,
    )


def run_config(zero: str, precision: str, offload: str, kind: str, checkpointing: str, world: World) -> Config:
    return config_from(
        {
            "model": {"precision": precision, "attention": "sdpa", "gradient_checkpointing": checkpointing},
            "strategy": {"kind": kind, "lora_rank": 16},
            "train": {"zero": int(zero), "offload": offload, "batch_size": ACCUMULATED * world.size},
        }
    )


def build(config: Config, adapter: Named) -> nn.Module:
    dtype = DTYPES[config.model.precision]
    model: Phi3VForCausalLM = Phi3VForCausalLM._from_config(adapter.config, dtype=dtype, attn_implementation="sdpa")
    unused = set(model.unused_parameter_names())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in unused)
    model.enable_checkpointing(config.model.gradient_checkpointing)
    model.name_or_path = adapter.name_or_path
    return prepare(model, config.strategy, adapter).train()


def batch() -> tuple[dict[str, Tensor], Tensor]:
    ids = torch.tensor([[1] + [-1] * ROWS + [7] * (TOKENS - ROWS - 1)])
    labels = torch.full_like(ids, -100)
    labels[:, -SUPERVISED:] = 9
    pixels = {"pixel_values": torch.zeros(CROPS, 3, 336, 336), "image_sizes": torch.tensor([[336, 336]])}
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **pixels}, labels


def weigh(config: Config, world: World) -> dict[str, int]:
    adapter = Named(model_config())
    module = build(config, adapter)
    scales = Scales()
    for tensor in (*module.parameters(), *module.buffers()):
        scales.put(tensor.data)
    with scales:
        engine = Engine(module, config, world, adapter.part_of)
        inputs, labels = batch()
        for _ in range(2):
            scales.most = 0
            for _ in range(ACCUMULATED):
                engine.backward(
                    adapter.loss_sum(engine.deepspeed, inputs, labels), SUPERVISED * ACCUMULATED * world.size
                )
            engine.step(1.0)
    return {"most": scales.most, "after": scales.live}


def planned(config: Config, world: World) -> dict[str, int]:
    work = Work(
        lengths=(TOKENS,),
        num_crops=CROPS,
        num_supervised=SUPERVISED,
        shape=(1, TOKENS),
        num_crops_run=CROPS,
    )
    memory = memory_of(config, layers_of(model_config()), world.size, work)
    return {"device": memory.device, "host": memory.host, "state": memory.weights + memory.optimizer}


def fused(*arguments: Any, **options: Any) -> torch.optim.Optimizer:
    """As on a GPU, where the update needs no room of its own."""
    return ADAMW(*arguments, **{**options, "fused": True})


if __name__ == "__main__":
    import_deepspeed()  # which derives from the optimizer
    ADAMW = torch.optim.AdamW
    torch.optim.AdamW = fused  # type: ignore[assignment,misc]  # a class by a function that makes one
    phitrain.engine.BUCKET = phitrain.memory.BUCKET = 350_000  # as many times smaller as the model
    phitrain.engine.PERSISTENT = 0
    torch.set_num_threads(1)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    world = open_world()
    for case in sys.argv[1:]:
        config = run_config(*case.split(":"), world)
        line = {"case": case, **weigh(config, world), **planned(config, world)}
        if world.is_main:
            sys.stdout.write(json.dumps(line) + "\n")
    close_world()
