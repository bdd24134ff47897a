"""Which rank takes which rows, and what a padded batch holds."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
import torch

import phidata
from phidata.errors import DataError
from phitrain.batch import IGNORED, Samples, Slot, collate, load_batches, micro_batches, steps_of_epoch
from phitrain.models.adapter import open_adapter

from .conftest import row, write_data


def plan(num_rows: int, *, world: int, rank: int = 0, epoch: int = 0, batch: int = 4) -> list[list[Slot]]:
    options = {"seed": 1, "epoch": epoch, "batch_size": batch, "per_rank": 1}
    return list(micro_batches(num_rows, rank=rank, world_size=world, **options))


def rows(micros: list[list[Slot]]) -> list[int]:
    return [slot.row for micro in micros for slot in micro if not slot.filler]


def test_every_row_is_trained_once_an_epoch_whatever_the_ranks() -> None:
    for world in (1, 2, 4):
        taken = [rows(plan(10, world=world, rank=rank)) for rank in range(world)]
        assert sorted(chain.from_iterable(taken)) == list(range(10))


def test_the_rows_of_a_step_do_not_depend_on_the_ranks() -> None:
    alone = plan(10, world=1)
    together = [plan(10, world=2, rank=rank) for rank in (0, 1)]
    assert len(alone) == 4 * steps_of_epoch(10, 4) == 12
    for step in range(3):
        both = [rows(micros[2 * step : 2 * step + 2]) for micros in together]
        assert set(chain.from_iterable(both)) == set(rows(alone[4 * step : 4 * step + 4]))


def test_a_short_last_step_is_completed_by_fillers() -> None:
    last = plan(5, world=2, rank=1)[2:]
    assert [[slot.filler for slot in micro] for micro in last] == [[True], [True]]
    assert [slot.filler for micro in plan(5, world=2, rank=0)[2:] for slot in micro] == [False, True]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    assert plan(10, world=1) == plan(10, world=1)
    assert rows(plan(10, world=1)) != rows(plan(10, world=1, epoch=1))


def test_a_padding_id_inside_a_sample_is_not_padding(model_folder: Path, data_folder: Path) -> None:
    samples = Samples(phidata.load(data_folder, split="train"), open_adapter(str(model_folder)).preprocessor)
    long, short = samples[Slot(row=0)], samples[Slot(row=6)]
    batch = collate([long, short], 32000)
    length = len(short.rendered)
    assert short.rendered.ids[-1] == 32000
    assert batch.inputs["attention_mask"].sum(dim=1).tolist() == [len(long.rendered), length]
    assert batch.inputs["input_ids"][1, :length].tolist() == short.rendered.ids
    assert batch.labels[1, length - 1] == 32000
    assert batch.labels[1, length:].unique().tolist() == [IGNORED]
    assert batch.num_supervised == long.rendered.num_supervised + short.rendered.num_supervised
    left = collate([long, short], 32000, left=True)
    assert left.inputs["attention_mask"][1].tolist() == [0] * (len(long.rendered) - length) + [1] * length


def test_a_filler_supervises_and_counts_nothing(model_folder: Path, data_folder: Path) -> None:
    samples = Samples(phidata.load(data_folder, split="train"), open_adapter(str(model_folder)).preprocessor)
    batch = collate([samples[Slot(row=0, filler=True)]], 32000)
    assert batch.labels.unique().tolist() == [IGNORED]
    assert (batch.num_supervised, batch.num_tokens, batch.num_images) == (0, 0, 0)


def test_workers_give_the_same_batches(model_folder: Path, data_folder: Path) -> None:
    samples = Samples(phidata.load(data_folder, split="train"), open_adapter(str(model_folder)).preprocessor)
    slots = [[Slot(row=5)], [Slot(row=6)], [Slot(row=0)]]
    here, there = (list(load_batches(samples, slots, num_workers=workers)) for workers in (0, 2))
    for one, other in zip(here, there, strict=True):
        assert one.slots == other.slots
        assert one.inputs.keys() == other.inputs.keys()
        assert all(torch.equal(one.inputs[name], other.inputs[name]) for name in one.inputs)
    assert here[0].inputs["pixel_values"].shape == (4, 3, 336, 336)  # two images, each its global view and one crop


def test_a_row_that_can_not_be_used_is_named_before_training(model_folder: Path, tmp_path: Path) -> None:
    preprocessor = open_adapter(str(model_folder)).preprocessor
    data = write_data(tmp_path / "data", train=[row("good", ["red"]), row("bad", ["mauve"]), row("long", ["red"] * 3)])
    samples = Samples(phidata.load(data, split="train"), preprocessor, max_length=700)
    samples.check(0)
    with pytest.raises(DataError, match=r"row 'bad': there is no image mauve\.png below"):
        samples.check(1)
    with pytest.raises(DataError, match=r"row 'long' takes 995 tokens, more than max_length 700"):
        samples.check(2)
