"""Four steps by each ZeRO stage and by a plain torch loop; a program of its own, which prints JSON.

python stages.py MODEL DATA → {"plain": {"losses", "weights"}, "0": …, "1": …, "2": …, "audit": sentence}
`weights` is the largest difference of any weight from the plain loop's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn

import phidata
from phidata.errors import DataError
from phitrain.audit import GradientAudit
from phitrain.batch import Batch, Samples, load_batches
from phitrain.config import Config, config_from
from phitrain.engine import Engine, close_world, open_world
from phitrain.models.adapter import open_adapter
from phitrain.resolve import rate_factor
from phitrain.sampler import Choice, Sampler
from phitrain.state import whole_weights
from phitrain.trainer import load_model

STEPS = 4


def main(model: str, data: str) -> None:
    world = open_world()
    adapter = open_adapter(model)
    samples = Samples(phidata.load(data, split="train"), adapter.preprocessor)
    found: dict[str, Any] = {}
    plain = load_model(configured(model, 0), adapter, world)
    found["plain"] = {"losses": plain_loop(configured(model, 0), plain, samples), "weights": 0.0}
    for stage in (0, 1, 2, 3):
        config = configured(model, stage)
        engine = Engine(load_model(config, adapter, world), config, world, adapter.part_of)
        losses, norms = steps(config, engine, adapter, samples)
        trained = dict(plain.named_parameters())
        furthest = max(
            float((trained[name] - value).detach().abs().max())
            for name, value in whole_weights(engine, trained_only=False)
        )
        found[str(stage)] = {"losses": losses, "weights": furthest, "grad_norms": norms}
    found["audit"] = audit_of_a_cut_model(configured(model, 1), adapter, samples, world)
    close_world()
    sys.stdout.write(json.dumps(found) + "\n")


def configured(model: str, stage: int) -> Config:
    return config_from(
        {
            "model": {"name_or_path": model, "precision": "fp32", "attention": "sdpa"},
            "optimizer": {"learning_rate": 1e-2, "warmup_steps": 1},
            "train": {"batch_size": 3, "zero": stage},
        }
    )


def steps(config: Config, engine: Engine, adapter: Any, samples: Samples) -> tuple[list[float], list[float]]:
    """Losses and gradient norms of STEPS steps, three micro-batches each."""
    batches = whole_batches(config, samples, per_rank=1)
    losses, norms = [], []
    engine.module.train()
    for step in range(1, STEPS + 1):
        micros = [next(batches) for _ in range(3)]
        supervised = sum(micro.num_supervised for micro in micros)
        loss = 0.0
        for micro in micros:
            loss_sum = adapter.loss_sum(engine.deepspeed, micro.inputs, micro.labels)
            engine.backward(loss_sum, supervised)
            loss += float(loss_sum.detach()) / supervised
        norms.append(engine.step(rate_factor(config, step, STEPS)).grad_norm)
        losses.append(loss)
    return losses, norms


def plain_loop(config: Config, module: nn.Module, samples: Samples) -> list[float]:
    """The same steps without DeepSpeed: one batch of three rows, the mean over its tokens, torch's own optimizer."""
    decayed = [
        p for n, p in module.named_parameters() if p.requires_grad and not n.endswith("bias") and "norm" not in n
    ]
    rest = [p for n, p in module.named_parameters() if p.requires_grad and (n.endswith("bias") or "norm" in n)]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-7)
    losses = []
    module.train()
    for step, batch in enumerate(islice(whole_batches(config, samples, per_rank=3), STEPS), start=1):
        for group in optimizer.param_groups:
            group["lr"] = config.optimizer.learning_rate * rate_factor(config, step, STEPS)
        output = module(**batch.inputs, labels=batch.labels)
        output.loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(output.loss))
    return losses


def whole_batches(config: Config, samples: Samples, *, per_rank: int) -> Iterator[Batch]:
    sampler = Sampler(samples.data, Choice(), config.train.seed)
    for epoch in (0, 1):
        plan = sampler.micro_batches(epoch, batch_size=3, per_rank=per_rank, rank=0, world_size=1)
        yield from load_batches(samples, plan, num_workers=0)


def audit_of_a_cut_model(config: Config, adapter: Any, samples: Samples, world: Any) -> str:
    module = load_model(config, adapter, world)
    module.get_parameter("model.vision_embed_tokens.sub_GN").register_hook(torch.zeros_like)
    audit = GradientAudit(adapter, module, world)
    engine = Engine(module, config, world, adapter.part_of)
    micro = next(whole_batches(config, samples, per_rank=1))
    engine.backward(adapter.loss_sum(engine.deepspeed, micro.inputs, micro.labels), micro.num_supervised)
    try:
        audit.after_backward(with_images=True, is_updated=False)
    except DataError as error:
        return str(error)
    return "nothing was found"


if __name__ == "__main__":
    main(*sys.argv[1:])
