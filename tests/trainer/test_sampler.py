"""Which rank trains on which question with which answer, and that a run that goes on takes what was left."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

import phidata
from phidata import Conversation, Turn
from phitrain.batch import Slot
from phitrain.sampler import Choice, Sampler, taken

from .conftest import write_data

ONE = Choice(questions="one")


def conversation(*turns: tuple[str, ...], answers: int = 1) -> Conversation:
    """One turn for each tuple of images; it accepts the answers 0, 1 and so on."""
    accepted = tuple(map(str, range(answers)))
    asked = tuple(Turn(images=images, user="?", assistant="0", answers=accepted) for images in turns)
    return Conversation(id="x", source="x", conversations=asked)


TEN = [conversation((f"{row}.png",)) for row in range(10)]
# Pages: row 0 with row 2 (three questions), row 1 with its two turns, and the text rows 3 and 4 each by itself.
PAGES = [
    conversation(("a.png",)),
    conversation(("b.png",), ()),
    conversation(("a.png",), ()),
    conversation(()),
    conversation((), ()),
]


def plan(
    data: list[Conversation], *, world: int = 1, rank: int = 0, epoch: int = 0, batch: int = 4, **options: Any
) -> list[list[Slot]]:
    sampler = Sampler(data, options.pop("choice", Choice()), options.pop("seed", 1))
    return list(sampler.micro_batches(epoch, batch_size=batch, per_rank=1, rank=rank, world_size=world, **options))


def real(micros: list[list[Slot]]) -> list[Slot]:
    return [slot for micro in micros for slot in micro if not slot.filler]


def rows(micros: list[list[Slot]]) -> list[int]:
    return [slot.row for slot in real(micros)]


def test_every_row_is_trained_once_an_epoch_whatever_the_ranks() -> None:
    for world in (1, 2, 4):
        taken = [rows(plan(TEN, world=world, rank=rank)) for rank in range(world)]
        assert sorted(chain.from_iterable(taken)) == list(range(10))


def test_the_rows_of_a_step_do_not_depend_on_the_ranks() -> None:
    alone = plan(TEN)
    together = [plan(TEN, world=2, rank=rank) for rank in (0, 1)]
    assert len(alone) == 4 * Sampler(TEN, Choice(), 1).steps_of_epoch(4) == 12
    for step in range(3):
        both = [rows(micros[2 * step : 2 * step + 2]) for micros in together]
        assert set(chain.from_iterable(both)) == set(rows(alone[4 * step : 4 * step + 4]))


def test_a_short_last_step_is_completed_by_fillers() -> None:
    last = plan(TEN[:5], world=2, rank=1)[2:]
    assert [[slot.filler for slot in micro] for micro in last] == [[True], [True]]
    assert [slot.filler for micro in plan(TEN[:5], world=2)[2:] for slot in micro] == [False, True]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    assert rows(plan(TEN)) == [8, 4, 7, 0, 1, 2, 5, 9, 6, 3]
    assert rows(plan(TEN, epoch=1)) == [7, 2, 4, 6, 1, 0, 3, 5, 9, 8]
    assert rows(plan(TEN, seed=2)) != rows(plan(TEN))


@pytest.mark.parametrize("choice", [Choice(), Choice(questions="one", answer="random")])
def test_a_run_that_goes_on_takes_exactly_what_was_left(choice: Choice) -> None:
    data = [conversation((f"{row // 3}.png",), answers=3) for row in range(40)]
    for rank in (0, 1):
        whole = plan(data, world=2, rank=rank, epoch=3, choice=choice)
        for done in range(len(whole) // 2 + 1):
            assert plan(data, world=2, rank=rank, epoch=3, choice=choice, skip_steps=done) == whole[2 * done :]


def test_an_epoch_asks_one_question_of_each_page() -> None:
    sampler = Sampler(PAGES, ONE, 1)
    assert (len(sampler), sampler.steps_of_epoch(2)) == (4, 2)
    asked = Counter(
        (slot.row, slot.question) for epoch in range(300) for slot in real(plan(PAGES, epoch=epoch, choice=ONE))
    )
    assert sum(asked[key] for key in ((0, None), (2, 0), (2, 1))) == 300
    assert sum(asked[key] for key in ((1, 0), (1, 1))) == 300
    assert (asked[3, None], asked[4, None], len(asked)) == (300, 300, 7)
    assert all(80 < asked[key] < 120 for key in ((0, None), (2, 0), (2, 1)))


def test_a_question_is_drawn_by_seed_epoch_and_page_not_by_the_rows_that_follow() -> None:
    more = [*PAGES, conversation(("c.png",), ())]
    for epoch in range(20):
        before, after = (
            {slot.row: slot.question for slot in real(plan(data, epoch=epoch, choice=ONE))} for data in (PAGES, more)
        )
        assert before.items() <= after.items()


def test_every_turn_draws_its_accepted_answer_by_itself() -> None:
    data = [conversation(("a.png",), (), answers=3)]
    choice = Choice(answer="random")
    drawn = [real(plan(data, epoch=epoch, choice=choice))[0].answers for epoch in range(300)]
    assert Counter(drawn).keys() == {(first, second) for first in range(3) for second in range(3)}
    assert drawn == [real(plan(data, epoch=epoch, choice=choice))[0].answers for epoch in range(300)]


def test_without_accepted_answers_the_assistants_is_the_only_one() -> None:
    plain = Conversation(id="x", source="x", conversations=(Turn(images=(), user="?", assistant="yes"),))
    [slot] = real(plan([plain], choice=Choice(answer="random")))
    assert slot == Slot(row=0, answers=(0,))
    assert taken(plain, slot.question, slot.answers).conversations == plain.conversations


def test_a_question_that_is_taken_alone_shows_the_images_so_far() -> None:
    turns = (
        Turn(images=("a.png",), user="First?", assistant="1"),
        Turn(images=("b.png",), user="Second?", assistant="2", answers=("2", "two")),
        Turn(images=("c.png",), user="Third?", assistant="3"),
    )
    asked = Conversation(id="x", source="x", conversations=turns)
    assert taken(asked, 1, (1,)).conversations == (
        Turn(images=("a.png", "b.png"), user="Second?", assistant="two", answers=("2", "two")),
    )
    assert taken(asked, None, (0, 1, 0)).conversations == (
        turns[0],
        Turn(images=("b.png",), user="Second?", assistant="two", answers=("2", "two")),
        turns[2],
    )


def test_every_shape_of_data_has_the_same_pages(tmp_path: Path) -> None:
    def asked(name: str, *colours: str) -> dict[str, Any]:
        turns = [{"images": [f"{colour}.png"], "user": "?", "assistant": "a"} for colour in colours]
        return {"id": name, "source": "s", "conversations": turns}

    folder = write_data(tmp_path / "jsonl", train=[asked("1", "red", "blue"), asked("2", "green"), asked("3", "green")])
    places = [folder]
    for shape in ("parquet", "arrow", "webdataset"):
        places.append(tmp_path / shape)
        phidata.merge([folder], out=places[-1], to=shape)
    plans = [plan(list(phidata.load(place, split="train")), epoch=5, choice=ONE) for place in places]
    assert {len(real(found)) for found in plans} == {2}
    assert plans == [plans[0]] * 4


def test_a_million_rows_are_ordered_in_well_under_a_second() -> None:
    sampler = Sampler(range(1_000_000), Choice(), 1)  # type: ignore[arg-type]  # only its length is used
    began = perf_counter()
    next(sampler.micro_batches(2, batch_size=64, per_rank=1, rank=0, world_size=8, skip_steps=15_000))
    assert perf_counter() - began < 1
