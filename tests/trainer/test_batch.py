"""What a padded batch holds, and what the processes that make it say when they fail."""

from __future__ import annotations

import os
import subprocess
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

import phidata
from phidata.errors import DataError
from phitrain.batch import IGNORED, Sample, Samples, Slot, collate, load_batches, named_worker_death
from phitrain.models.adapter import open_adapter
from phitrain.sampler import Choice

from .conftest import row, turn, write_data


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
    rows = [
        row("good", ["red"]),
        row("bad", ["mauve"]),
        row("long", ["red"] * 3),
        row("empty", []),
        row("out", ["../red"]),
    ]
    data = write_data(tmp_path / "data", train=rows)
    samples = Samples(phidata.load(data, split="train"), preprocessor, max_length=700)
    samples.check(0)
    with pytest.raises(DataError, match=r"row 'bad': there is no image mauve\.png below"):
        samples.check(1)
    with pytest.raises(DataError, match=r"row 'long' takes 995 tokens, more than max_length 700"):
        samples.check(2)
    with pytest.raises(DataError, match=r"row 'empty' has no turns, so nothing to train on; leave the row out"):
        samples.check(3)
    with pytest.raises(DataError, match=r"colours_train\.jsonl:5: row 'out': image path '\.\./red\.png' leads out of"):
        samples.check(4)


def test_every_choice_of_a_row_has_to_fit(model_folder: Path, tmp_path: Path) -> None:
    preprocessor = open_adapter(str(model_folder)).preprocessor
    asked = [turn(["red.png"], "Which?", "red"), {**turn([], "And?", "so"), "answers": ["so", "word " * 90]}]
    data = write_data(tmp_path / "data", train=[{**row("x", []), "conversations": asked}])
    loaded = phidata.load(data, split="train")
    one, random = Choice(questions="one"), Choice(questions="one", answer="random")
    Samples(loaded, preprocessor, max_length=333, choice=one).check(0)
    with pytest.raises(DataError, match="row 'x' takes 345 tokens, more than max_length 344"):
        Samples(loaded, preprocessor, max_length=344).check(0)
    with pytest.raises(DataError, match="row 'x' takes 421 tokens, more than max_length 420"):
        Samples(loaded, preprocessor, max_length=420, choice=random).check(0)


def test_the_chosen_question_is_rendered_alone_with_the_images_before_it(model_folder: Path, tmp_path: Path) -> None:
    preprocessor = open_adapter(str(model_folder)).preprocessor
    turns = [turn(["red.png"], "Which?", "red"), {**turn(["blue.png"], "And?", "a"), "answers": ["b", "c"]}]
    alone = [turn(["red.png", "blue.png"], "And?", "c")]
    data = write_data(
        tmp_path / "data",
        train=[{**row(name, []), "conversations": part} for name, part in (("x", turns), ("y", alone))],
    )
    samples = Samples(phidata.load(data, split="train"), preprocessor)
    chosen, written = samples[Slot(row=0, question=1, answers=(1,))], samples[Slot(row=1)]
    assert chosen.rendered == written.rendered
    assert torch.equal(chosen.pixels["pixel_values"], written.pixels["pixel_values"])


def test_an_error_in_a_worker_is_the_same_sentence(model_folder: Path, tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", train=[row("bad", ["mauve"])])
    samples = Samples(phidata.load(data, split="train"), open_adapter(str(model_folder)).preprocessor)
    for workers in (0, 1):
        with pytest.raises(DataError, match=r"^\S+_train\.jsonl:1: row 'bad': \S+/mauve\.png: no such image; restore"):
            list(load_batches(samples, [[Slot(row=0)]], num_workers=workers))


class Killed(Samples):
    def __getitem__(self, slot: Slot) -> Sample:
        os._exit(9)


def test_a_worker_that_dies_is_a_sentence_with_the_remedy(model_folder: Path, data_folder: Path) -> None:
    samples = Killed(phidata.load(data_folder, split="train"), open_adapter(str(model_folder)).preprocessor)
    with pytest.raises(
        DataError, match=r"for rank 0 has died \(DataLoader worker .*\).* --num_workers less than 1, or"
    ):
        list(load_batches(samples, [[Slot(row=0)]], num_workers=1))


def kill_workers_after_the_first_batch(samples: Samples) -> None:
    before = set(active_children())
    with named_worker_death(1):
        for _ in load_batches(samples, [[Slot(row=row)] for row in range(7)], num_workers=1):
            for worker in set(active_children()) - before:
                worker.kill()


def test_a_worker_that_is_killed_in_between_is_the_same_sentence(model_folder: Path, data_folder: Path) -> None:
    samples = Samples(phidata.load(data_folder, split="train"), open_adapter(str(model_folder)).preprocessor)
    with pytest.raises(DataError, match=r"a process that opens images for rank 0 has died \(.+\), most often for lack"):
        kill_workers_after_the_first_batch(samples)


def test_a_worker_heeds_the_sigterm_of_its_run_alone(model_folder: Path, data_folder: Path) -> None:
    samples = Samples(phidata.load(data_folder, split="train"), open_adapter(str(model_folder)).preprocessor)
    before = set(active_children())
    batches = load_batches(samples, [[Slot(row=row)] for row in range(7)], num_workers=1)
    next(batches)
    (worker,) = set(active_children()) - before
    for name in ("-TERM", "-INT"):
        subprocess.run(["kill", name, str(worker.pid)], check=True)
    assert len(list(batches)) == 6
    again = load_batches(samples, [[Slot(row=0)]] * 7, num_workers=1)
    next(again)
    (worker,) = set(active_children()) - before
    worker.terminate()
    worker.join(20)
    assert worker.exitcode == 0


def test_another_error_of_torch_is_not_taken_for_a_workers_death() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), named_worker_death(2):
        raise RuntimeError("shapes differ")
