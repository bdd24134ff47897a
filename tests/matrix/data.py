"""Rows of every kind, and for each kind an order in which ranks and batches get what the kind says."""

from __future__ import annotations

from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import phidata
from phitrain.batch import Sample, Samples, Slot
from phitrain.models.adapter import Preprocessor
from phitrain.sampler import Choice, Sampler
from tests.trainer.conftest import row, turn, write_data

from .cells import DATA, STEPS, batch_of

SAYINGS = (("Say nothing.", "Fine."), ("Why?", "Because it is so."), ("Say <|end|> twice.", "No, once is enough."))


def write_rows(folder: Path) -> Path:
    """A data folder with one split for each kind of data; the last step of an epoch is smaller in the first three."""
    texts = [_text(f"text-{number}", *saying) for number, saying in enumerate(SAYINGS * 2)]
    ones = [row(f"one-{colour}", [colour]) for colour in ("red", "green", "blue")]
    manys = [row("turns", ["red", "blue"]), _together("nicer", ["green", "red"]), _together("best", ["blue", "green"])]
    splits = (texts, ones, manys, [*texts[:2], ones[0], manys[0]], [*texts[:2], *ones[:2]])
    return write_data(folder, **dict(zip(map(split_of, DATA), splits, strict=True)))


def split_of(data: str) -> str:
    return data.replace(" ", "-")


class Kept(Samples):
    """Samples that are made once, because thousands of runs take the same ones."""

    def __init__(self, folder: Path, data: str, preprocessor: Preprocessor) -> None:
        super().__init__(phidata.load(folder, split=split_of(data)), preprocessor)
        self.kind = data
        self._made: dict[Slot, Sample] = {}

    def __getitem__(self, slot: Slot) -> Sample:
        if slot not in self._made:
            self._made[slot] = super().__getitem__(slot)
        return self._made[slot]

    @property
    def sampler(self) -> Sampler:
        """With the first seed whose order suits the kind, for one process and for two."""
        has_images = tuple(bool(conversation.images) for conversation in self.data)
        return Sampler(self.data, Choice(), _seed(self.kind, has_images))


def plan(sampler: Sampler, batch: int, *, per_rank: int, rank: int = 0, processes: int = 1) -> list[list[list[Slot]]]:
    """Of each of the first steps the micro-batches of a rank."""
    size = {"batch_size": batch, "per_rank": per_rank, "rank": rank, "world_size": processes}
    accumulation = batch // (per_rank * processes)
    epochs = (sampler.micro_batches(epoch, **size) for epoch in range(STEPS))
    micros = (micro for epoch in epochs for micro in epoch)
    return [list(islice(micros, accumulation)) for _ in range(STEPS)]


@cache
def _seed(kind: str, has_images: tuple[bool, ...]) -> int:
    seed = 0
    while not _suits(kind, has_images, Sampler(range(len(has_images)), Choice(), seed)):  # type: ignore[arg-type]  # counted only
        seed += 1
    return seed


def _suits(kind: str, has_images: tuple[bool, ...], sampler: Sampler) -> bool:
    if kind not in ("mixed in a batch", "mixed over ranks"):
        return True
    batch, per_rank = batch_of(kind), 2 if kind == "mixed in a batch" else 1

    def shown(processes: int) -> list[list[set[bool]]]:
        """For each micro-batch of each step what it holds; those of two ranks stand beside each other."""
        plans = [plan(sampler, batch, per_rank=per_rank, rank=rank, processes=processes) for rank in range(processes)]
        steps = [[micro for of_rank in step for micro in of_rank] for step in zip(*plans, strict=True)]
        return [[{has_images[slot.row] for slot in micro} for micro in step] for step in steps]

    if kind == "mixed in a batch":
        return all(micro == {True, False} for processes in (1, 2) for step in shown(processes) for micro in step)
    return all(one != other for one, other in shown(2))


def _text(name: str, user: str, assistant: str) -> dict[str, Any]:
    return {**row(name, []), "conversations": [turn([], user, assistant)]}


def _together(name: str, colours: list[str]) -> dict[str, Any]:
    """One turn about several pictures."""
    images = [f"{colour}.png" for colour in colours]
    return {**row(name, []), "conversations": [turn(images, "Which of the two is it?", colours[0])]}
