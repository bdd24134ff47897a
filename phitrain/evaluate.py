"""Greedy answers to every turn of a data set: asked in left-padded batches over all ranks, told in the data's order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from phidata.console import Progress, progress
from phidata.errors import DataError
from phitrain.answer_table import sample_lines
from phitrain.batch import Batch, Samples, Slot, load_batches, named_worker_death
from phitrain.engine import World
from phitrain.models.adapter import Adapter
from phitrain.results import Answers, Evaluation, compare, comparison_lines, score_lines, split_result

__all__ = [
    "Asking",
    "Evaluation",
    "compare",
    "comparison_lines",
    "evaluate",
    "sample_lines",
    "score_lines",
    "to_device",
]

CHARACTERS_A_TOKEN = 4  # about so many; no more than the order of the batches depends on it


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How questions are asked and answers scored.

    `batch_size`: turns a batch. `max_new_tokens`: the longest answer. `metrics`: by name, the first one counts most.
    `history`: what stands for the answers to earlier turns, the reference ones or the model's own. `synced`: all ranks
    run the same modules at the same time, as ZeRO stage 3 needs. `num_workers`: processes a rank that open images
    ahead. `bar`: a bar on a terminal, else lines.
    """

    batch_size: int
    max_new_tokens: int
    metrics: tuple[str, ...] = ("accuracy",)
    history: str = "reference"
    synced: bool = False
    num_workers: int = 0
    bar: bool = True


def evaluate(
    adapter: Adapter,
    module: nn.Module,
    splits: Mapping[str, Samples],
    world: World,
    asking: Asking,
    *,
    model: str,
    step: int | None = None,
) -> Evaluation:
    """Ask every turn of every row and score the answers: what an evaluation file says, the same on every rank.

    All ranks call it. The answers do not depend on the number of ranks, nor on the size of a batch further than the
    rounding of a batched product may decide between two tokens that are equally probable. Raises DataError, on all
    ranks, naming a row whose image can not be opened.
    """
    was_training = module.training
    module.eval()
    try:
        answers = {name: _ask(adapter, module, name, samples, world, asking) for name, samples in splits.items()}
    finally:
        module.train(was_training)
    return {
        "model": model,
        "step": step,
        "metric": asking.metrics[0],
        "metrics": list(asking.metrics),
        "history": asking.history,
        "splits": {name: split_result(splits[name].data, found, asking.metrics) for name, found in answers.items()},
    }


def to_device(inputs: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """The inputs on the device; image sizes stay on the host, where the model reads them."""
    return {
        name: value if name == "image_sizes" else value.to(device, non_blocking=True) for name, value in inputs.items()
    }


@dataclass(frozen=True, kw_only=True)
class Question:
    """One turn to answer; `length` is about how many tokens its prompt takes."""

    row: int
    turn: int
    length: int


def questions_to_ask(samples: Samples, world: World) -> list[Question]:
    """Every turn of every row, in the data's order. Of the images only the headers are read, by each rank its share."""
    image_tokens: list[list[int]] = [[] for _ in range(len(samples))]
    mine = [_image_tokens(samples, row) for row in range(world.rank, len(samples), world.size)]
    for rank, part in enumerate(world.gather(mine)):
        image_tokens[rank :: world.size] = part
    found = []
    for row, conversation in enumerate(samples.data):
        num_images = num_characters = 0
        for number, turn in enumerate(conversation.conversations):
            num_images += len(turn.images)
            num_characters += len(turn.user)
            length = num_characters // CHARACTERS_A_TOKEN + sum(image_tokens[row][:num_images])
            found.append(Question(row=row, turn=number, length=length))
            num_characters += len(turn.assistant)
    return found


def batches_to_ask(
    questions: Sequence[Question], answers: Answers, world: World, asking: Asking
) -> list[list[list[Slot]]]:
    """For each call of the model the batch of every rank: the longest prompts first, so that neighbours pad little
    and what is too much for the memory shows at once.

    With few questions all ranks get some of them. Where ranks have to keep in step, one without questions in the last
    call repeats one as a filler; else it has an empty batch there.
    """
    own = asking.history == "own"
    size = max(1, min(asking.batch_size, -(-len(questions) // world.size)))
    slots = [
        Slot(row=one.row, turn=one.turn, history=_told(one, answers) if own else None)
        for one in sorted(questions, key=lambda one: (-one.length, one.row, one.turn))
    ]
    batches = [slots[first : first + size] for first in range(0, len(slots), size)]
    calls = [batches[first : first + world.size] for first in range(0, len(batches), world.size)]
    for call in calls:
        first = call[0][0]
        filler = Slot(row=first.row, turn=first.turn, history=first.history, filler=True)
        call += [[filler] if asking.synced else []] * (world.size - len(call))
    return calls


def _ask(
    adapter: Adapter, module: nn.Module, name: str, samples: Samples, world: World, asking: Asking
) -> dict[tuple[int, int], str]:
    """The model's answer to every turn, by row and turn, gathered from all ranks."""
    questions = questions_to_ask(samples, world)
    answers: dict[tuple[int, int], str] = {}
    with _progress(name, len(questions), world, asking) as bar, named_worker_death(asking.num_workers):
        for together in _rounds(questions, asking.history):
            calls = batches_to_ask(together, answers, world, asking)
            mine: dict[tuple[int, int], str] = {}
            for number, batch in enumerate(_loaded(samples, [call[world.rank] for call in calls], world, asking)):
                found = adapter.generate(
                    module, to_device(batch.inputs, world.device), asking.max_new_tokens, synced=asking.synced
                )
                for slot, ids in zip(batch.slots, found, strict=True):
                    if slot.turn is not None and not slot.filler:
                        mine[slot.row, slot.turn] = adapter.preprocessor.decode(ids)
                if bar is not None:
                    bar.update(sum(map(len, calls[number])))
            for part in world.gather(mine):
                answers |= part
    return answers


def _rounds(questions: Sequence[Question], history: str) -> list[list[Question]]:
    """What can be asked at the same time: everything, or where own answers go on, the turns of one number."""
    rounds: dict[int, list[Question]] = defaultdict(list)
    for one in questions:
        rounds[one.turn if history == "own" else 0].append(one)
    return [rounds[number] for number in sorted(rounds)]


def _loaded(samples: Samples, batches: Sequence[list[Slot]], world: World, asking: Asking) -> Iterator[Batch]:
    """This rank's batches. A row that can not be shown is raised on every rank: at once where the ranks keep in step,
    else when each has answered its own."""
    batches = [batch for batch in batches if batch]
    problem: DataError | None = None
    loading = load_batches(samples, batches, num_workers=asking.num_workers, left=True)
    for _ in batches:
        try:
            batch = next(loading)
        except DataError as error:
            problem = error
        if asking.synced:
            world.raise_first(problem)
        if problem is not None:
            break
        yield batch
    world.raise_first(problem)


def _told(question: Question, answers: Answers) -> tuple[str, ...]:
    """The model's own answers to the turns before."""
    return tuple(answers[question.row, turn] for turn in range(question.turn))


def _image_tokens(samples: Samples, row: int) -> list[int]:
    """How many positions each image of a row takes."""
    data, preprocessor = samples.data, samples.preprocessor
    paths = data[row].images
    try:
        files = map(BytesIO, data.image_bytes(row)) if data.image_root is None else map(data.image_path, paths)
        sizes = [_size(file) for file in files]
        return [preprocessor.num_image_tokens(width, height) for width, height in sizes]
    except (DataError, OSError, Image.DecompressionBombError):
        # Only the order is at stake here; when the row is asked, what is wrong with it is said.
        return [preprocessor.max_image_tokens] * len(paths)


def _size(file: Path | BytesIO) -> tuple[int, int]:
    with Image.open(file) as image:
        return image.size


def _progress(name: str, num_turns: int, world: World, asking: Asking) -> AbstractContextManager[Progress | None]:
    """On the first rank, of the turns of all."""
    if not world.is_main:
        return nullcontext()
    return progress(num_turns, f"evaluate {name}", "turn", bar=asking.bar)
