"""Runs that once went wrong in silence; a program of its own, of which rank 0 prints JSON by the name of the trap.

[torchrun] -m tests.matrix.trapping FOLDER TRAP…, where FOLDER has `model` and `data`
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import phitrain.trainer
from phidata.errors import DataError
from phitrain.batch import collate
from phitrain.config import STRATEGIES, Config, Values
from phitrain.engine import close_world, open_world
from phitrain.evaluate import Asking, evaluate
from phitrain.export import save_weights
from phitrain.state import read_state, whole_weights

from .cells import CPU, Cell, resolved
from .training import Place, Trained, free, train

CUT = "layers.0.self_attn.o_proj"
BETA = 0.9  # of the first moment


def main(folder: str, *traps: str) -> None:
    world = open_world()
    place = Place(Path(folder, "model"), Path(folder, "data"), world)
    found = {trap: TRAPS[trap](place) for trap in traps}
    close_world()
    if world.is_main:
        sys.stdout.write(json.dumps(found) + "\n")


def configured(place: Place, cell: dict[str, Any], more: Values | None = None) -> tuple[Config, str]:
    """The configuration and the kind of data of a plain cell with some values of its own."""
    plain = {"strategy": "full", "precision": "fp32", "attention": "sdpa", "zero": 1, "offload": "none"}
    rest = {"checkpointing": "off", "processes": place.world.size, "data": "text only"}
    whole = Cell(**{**plain, **rest, **cell})
    named: Values = {"model": {"name_or_path": str(place.model)}}
    return resolved(whole, CPU, named, more or {})[0], whole.data


def run(place: Place, cell: dict[str, Any], more: Values | None = None) -> Trained:
    return train(place, *configured(place, cell, more))


def end(run: Trained) -> list[float]:
    """The losses of a run that is not needed any more."""
    free(run.engine)
    return [step.loss for step in run.steps]


def mixed_ranks(place: Place) -> dict[str, Any]:
    """Losses and answers of stages 1 and 3, where one rank has text and the other images."""
    found: dict[str, Any] = {}
    for zero in (1, 3):
        done = run(place, {"zero": zero, "data": "mixed over ranks"})
        asking = Asking(batch_size=1, max_new_tokens=4, synced=True, bar=False)
        splits = {"mixed": place.samples("mixed over ranks")}
        told = evaluate(place.adapter, done.engine.module, splits, place.world, asking, model="small")
        answers = [row["prediction"] for row in told["splits"]["mixed"]["rows"]]
        found[str(zero)] = {"losses": end(done), "answers": answers}
    return found


def saved(place: Place) -> list[str]:
    """Names of the tensors that training changed in what is saved."""
    done = run(place, {"zero": 2, "data": "one image"})
    weights = whole_weights(done.engine, trained_only=False)
    output = place.model.parent / "saved"
    output.mkdir()
    save_weights(place.adapter, weights, output, dtype=torch.float32)
    end(done)
    before, after = tensors(place.model), tensors(output)
    assert before.keys() == after.keys()
    return [name for name in before if not torch.equal(before[name], after[name])]


def tensors(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def cut(place: Place) -> dict[str, str]:
    """What is said, by strategy, of a model in which one tensor gets no gradient; and of one without a separator's."""
    told = {
        strategy: told_of_cut(place, CUT, {"strategy": strategy, "zero": zero})
        for zero, strategy in enumerate(STRATEGIES)
    }
    return {**told, "separator": told_of_cut(place, "sub_GN", {"data": "one image"})}


def told_of_cut(place: Place, part: str, cell: dict[str, Any]) -> str:
    trainer: Any = phitrain.trainer
    whole = trainer.prepare
    trainer.prepare = cutting(whole, part)
    try:
        run(place, cell)
    except DataError as error:
        return str(error)
    finally:
        trainer.prepare = whole
    return "nothing"


def cutting(prepare: Callable[..., nn.Module], part: str) -> Callable[..., nn.Module]:
    def prepared(*given: Any) -> nn.Module:
        module = prepare(*given)
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and part in name and "lora_A" not in name:
                parameter.register_hook(torch.zeros_like)
        return module

    return prepared


def rates(place: Place) -> dict[str, Any]:
    """By stage, the rates that were told of the step after the warm-up, and the optimizer's own in the last one, when
    a third is left of each."""
    more: Values = {"optimizer": {"vision_learning_rate": 1e-4, "projector_learning_rate": 2e-3}}
    found = {}
    for zero in (0, 1, 3):
        done = run(place, {"zero": zero, "data": "one image"}, more)
        last = sorted({group["lr"] for group in done.engine.optimizer.param_groups})
        found[str(zero)] = {"told": done.steps[1].lrs, "last": last}
        end(done)
    return found


def adapters(place: Place) -> dict[str, list[list[float]]]:
    """Losses of DoRA and rsLoRA by stage."""
    kinds = {"dora": {"dora": True}, "rslora": {"rslora": True}}
    cells = [{"strategy": "lora", "zero": zero} for zero in range(4)]
    return {name: [end(run(place, cell, {"strategy": kind})) for cell in cells] for name, kind in kinds.items()}


def dropout(place: Place) -> list[list[float]]:
    """Losses without and with LoRA dropout."""
    return [end(run(place, {"strategy": "lora"}, {"strategy": {"lora_dropout": rate}})) for rate in (0.0, 0.5)]


def small_updates(place: Place) -> dict[str, list[float]]:
    """By precision and stage: of the larger numbers of lm_head the share that changed in the model, the share that
    moved by two or more updates in the master weights, and the largest way of one in updates."""
    rate = 1e-6
    more: Values = {"optimizer": {"learning_rate": rate, "schedule": "constant", "warmup_steps": 0}}
    before = tensors(place.model)["lm_head.weight"]
    found = {}
    for precision in ("bf16", "fp16"):
        dtype = phitrain.trainer.DTYPES[precision]
        for zero in (1, 2, 3):
            done = run(place, {"precision": precision, "zero": zero}, more)
            master = dict(read_state(done.engine))["master/lm_head.weight"]
            weight = dict(whole_weights(done.engine, trained_only=True))["lm_head.weight"]
            start = before.to(dtype).float()
            large = start.abs() > 0.0625  # half a unit in the last place is then 30 updates and more
            way = (master - start)[large].abs() / rate
            changed = (weight.float() != start)[large].float().mean()
            found[f"{precision}, {zero}"] = [float(changed), float((way >= 2).float().mean()), float(way.max())]
            end(done)
    return found


def sums(place: Place) -> dict[str, float]:
    """By stage, how far a gradient of four micro-batches in bf16 is from the exact sum of theirs, relative to it."""
    more: Values = {
        "optimizer": {"schedule": "constant", "warmup_steps": 0, "max_grad_norm": 1e9},
        "train": {"batch_size": 4, "batch_size_per_gpu": 1, "max_steps": 1},
    }
    found, exact = {}, exact_sum(place, configured(place, {"precision": "bf16"}, more)[0])
    for zero in (1, 2, 3):
        done = run(place, {"precision": "bf16", "zero": zero}, more)
        state = dict(read_state(done.engine))
        off = {name: state[f"exp_avg/{name}"].double() / (1 - BETA) - whole for name, whole in exact.items()}
        found[str(zero)] = math.hypot(*map(length, off.values())) / math.hypot(*map(length, exact.values()))
        end(done)
    return found


def exact_sum(place: Place, config: Config) -> dict[str, Tensor]:
    """The gradient of the first step, each micro-batch's added up in fp64."""
    course, module = place.course(config, "text only"), phitrain.trainer.load_model(config, place.adapter, place.world)
    plan = islice(course.sampler.micro_batches(0, batch_size=4, per_rank=1, rank=0, world_size=1), 4)
    batches = [collate([course.samples[slot] for slot in slots], place.adapter.preprocessor.pad_id) for slots in plan]
    supervised, total = sum(batch.num_supervised for batch in batches), dict[str, Tensor]()
    for batch in batches:
        loss = place.adapter.loss_sum(module.train(), batch.inputs, batch.labels)
        (loss / supervised).backward()
        for name, parameter in module.named_parameters():
            if parameter.grad is not None:
                total[name] = total.get(name, torch.zeros(())) + parameter.grad.double()
                parameter.grad = None
    return total


def length(tensor: Tensor) -> float:
    return float(tensor.norm())


TRAPS: dict[str, Callable[[Place], Any]] = {
    "mixed ranks": mixed_ranks,
    "saved": saved,
    "cut": cut,
    "rates": rates,
    "adapters": adapters,
    "dropout": dropout,
    "small updates": small_updates,
    "sums": sums,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
