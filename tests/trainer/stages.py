"""Four steps by each ZeRO stage and by a plain torch loop; a program of its own, which prints JSON.

python stages.py MODEL DATA → {"plain": {"losses", "weights"}, "0": …, "1": …, "2": …, "audit": sentence}
`weights` is the largest difference of any weight from the plain loop's.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch import nn

import phidata
from phidata.errors import DataError
from phitrain.batch import Batch, Samples, load_batches
from phitrain.config import Config, config_from
from phitrain.engine import close_world, open_world
from phitrain.models.adapter import open_adapter
from phitrain.sampler import Choice, Sampler
from phitrain.trainer import learning_rate, load_model, run_steps

STEPS = 4


def main(model: str, data: str) -> None:
    world = open_world()
    adapter = open_adapter(model)
    samples = Samples(phidata.load(data, split="train"), adapter.preprocessor)
    found: dict[str, Any] = {}
    plain = load_model(configured(model, 0), adapter, world)
    found["plain"] = {"losses": plain_loop(configured(model, 0), plain, samples), "weights": 0.0}
    for stage in (0, 1, 2):
        module = load_model(configured(model, stage), adapter, world)
        told = Told()
        run_steps(configured(model, stage), adapter, module, samples, world, STEPS, told)  # type: ignore[arg-type]
        pairs = zip(plain.parameters(), module.parameters(), strict=True)
        furthest = max(float((one - other).detach().abs().max()) for one, other in pairs)
        norms = [step.grad_norm for step in told]
        found[str(stage)] = {"losses": [step.loss for step in told], "weights": furthest, "grad_norms": norms}
    found["audit"] = audit_of_a_cut_model(configured(model, 1), adapter, samples, world)
    close_world()
    sys.stdout.write(json.dumps(found) + "\n")


class Told(list[Any]):
    """Keeps each step, in place of a report."""

    def begin(self) -> None:
        pass

    __call__ = list.append


def configured(model: str, stage: int) -> Config:
    return config_from(
        {
            "model": {"name_or_path": model, "precision": "fp32"},
            "optimizer": {"learning_rate": 1e-2, "warmup_steps": 1},
            "train": {"batch_size": 3, "zero": stage},
        }
    )


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
    for step, batch in enumerate(whole_batches(config, samples), start=1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, STEPS)
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


def whole_batches(config: Config, samples: Samples) -> list[Batch]:
    sampler = Sampler(samples.data, Choice(), config.train.seed)
    micros = []
    for epoch in (0, 1):
        micros += list(sampler.micro_batches(epoch, batch_size=3, per_rank=3, rank=0, world_size=1))
    return list(load_batches(samples, micros[:STEPS], num_workers=0))


def audit_of_a_cut_model(config: Config, adapter: Any, samples: Samples, world: Any) -> str:
    module = load_model(config, adapter, world)
    module.get_parameter("model.vision_embed_tokens.sub_GN").register_hook(torch.zeros_like)
    try:
        run_steps(config, adapter, module, samples, world, STEPS, None)
    except DataError as error:
        return str(error)
    return "nothing was found"


if __name__ == "__main__":
    main(*sys.argv[1:])
