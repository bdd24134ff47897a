"""Accuracy of greedy answers: generated in left-padded batches, sharded over ranks, reported in the data's order."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from phidata import ConversationData
from phidata.console import Progress, progress
from phitrain.batch import Samples, Slot, load_batches
from phitrain.engine import World
from phitrain.metrics import is_correct
from phitrain.models.adapter import Adapter
from phitrain.render import prompt_text

Evaluation = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How questions are asked: turns a batch, the longest answer, processes that open images ahead, a bar or lines."""

    batch_size: int
    max_new_tokens: int
    num_workers: int = 0
    bar: bool = True


def evaluate(
    adapter: Adapter, module: nn.Module, splits: Mapping[str, Samples], world: World, asking: Asking
) -> Evaluation:
    """Ask every turn of every row and compare with its accepted answers; the same on every rank.

    A turn is asked after the turns before it with their reference answers. Returns for each split num_rows, num_turns,
    num_correct, accuracy, and rows: id, turn (from 1), prompt, answers, prediction, correct.
    """
    was_training = module.training
    module.eval()
    try:
        return {
            name: _scored(samples, _ask(adapter, module, name, samples, world, asking))
            for name, samples in splits.items()
        }
    finally:
        module.train(was_training)


@torch.no_grad()
def _ask(
    adapter: Adapter, module: nn.Module, name: str, samples: Samples, world: World, asking: Asking
) -> dict[Slot, str]:
    """The model's answer to every turn, gathered from all ranks."""
    mine = turns_to_ask(samples.data)[world.rank :: world.size]
    batches = [mine[first : first + asking.batch_size] for first in range(0, len(mine), asking.batch_size)]
    mine_answered: dict[Slot, str] = {}
    with _progress(name, len(mine), world, asking) as bar:
        for batch in load_batches(samples, batches, num_workers=asking.num_workers, left=True):
            inputs = to_device(batch.inputs, world.device)
            answers = adapter.generate(module, inputs, asking.max_new_tokens)
            mine_answered |= zip(batch.slots, map(adapter.preprocessor.decode, answers), strict=True)
            if bar is not None:
                bar.update(len(answers))
    answered: dict[Slot, str] = {}
    for part in world.gather(mine_answered):
        answered |= part
    return answered


def _progress(name: str, num_turns: int, world: World, asking: Asking) -> AbstractContextManager[Progress | None]:
    """Of the first rank's share; the others have as much to do."""
    if not world.is_main:
        return nullcontext()
    return progress(num_turns, f"evaluate {name}", "turn", bar=asking.bar)


def _scored(samples: Samples, answered: Mapping[Slot, str]) -> Evaluation:
    rows = [_result(samples.data, slot, answered[slot]) for slot in turns_to_ask(samples.data)]
    num_correct = sum(row["correct"] for row in rows)
    accuracy = num_correct / len(rows) if rows else 0.0
    counts = {"num_rows": len(samples), "num_turns": len(rows), "num_correct": num_correct, "accuracy": accuracy}
    return {**counts, "rows": rows}


def turns_to_ask(data: ConversationData) -> list[Slot]:
    """Every turn of every row, in the data's order."""
    return [Slot(row=row, turn=turn) for row in range(len(data)) for turn in range(len(data[row].conversations))]


def accuracy_lines(evaluation: Evaluation) -> list[str]:
    """One line for people a split."""
    return [
        f"accuracy {name} {split['accuracy']:.3f} ({split['num_correct']} of {split['num_turns']})"
        for name, split in evaluation.items()
    ]


def to_device(inputs: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """The inputs on the device; image sizes stay on the host, where the model reads them."""
    return {
        name: value if name == "image_sizes" else value.to(device, non_blocking=True) for name, value in inputs.items()
    }


def _result(data: ConversationData, slot: Slot, prediction: str) -> dict[str, Any]:
    conversation = data[slot.row]
    assert slot.turn is not None
    turn = conversation.conversations[slot.turn]
    first_image = 1 + sum(len(earlier.images) for earlier in conversation.conversations[: slot.turn])
    answers = list(turn.answers or (turn.assistant,))
    return {
        "id": conversation.id,
        "turn": slot.turn + 1,
        "prompt": prompt_text(turn.user, len(turn.images), first_image),
        "answers": answers,
        "prediction": prediction,
        "correct": is_correct(prediction, answers),
    }
