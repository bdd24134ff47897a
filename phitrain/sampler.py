"""Which question about which row a rank trains on when, and with which answer: a function of seed, epoch and position.

Nothing is remembered between calls, so a run that goes on after a stop takes what it would have taken without one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from phidata import Conversation, Turn

Numbers = npt.NDArray[np.int64]

WHOLE = -1  # in place of a turn: the conversation as it stands
QUESTIONS, ANSWERS = 1, 2  # streams of random numbers beside the one that orders an epoch


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One place in a micro-batch: a row, and for evaluation the turn to answer. A filler trains nothing.

    `question`: train this turn alone, asked about the row's images up to it. `answers`: which of each trained turn's
    accepted answers is trained, counted from 0; without it the one that the turn gives as `assistant`. `history`: what
    stands for the answers to the turns before `turn`; without it those that the row gives.
    """

    row: int
    turn: int | None = None
    question: int | None = None
    answers: tuple[int, ...] | None = None
    history: tuple[str, ...] | None = None
    filler: bool = False


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a run trains of several questions about the same images, and of several accepted answers.

    `questions` all: every row, with all its turns, once an epoch. one: all turns of all rows that show the same images
    are questions about one page, and an epoch takes one question of every page; a row without images is a page of its
    own and taken whole. `answer` first: the turn's `assistant`. random: one of its `answers`, each turn by itself.
    """

    questions: str = "all"
    answer: str = "first"


def questions_of(conversation: Conversation, choice: Choice) -> list[int | None]:
    """What an epoch can take of a row: the turns that are asked alone, or None for the whole."""
    num_turns = len(conversation.conversations)
    if choice.questions == "one" and conversation.images and num_turns > 1:
        return list(range(num_turns))
    return [None]


def taken(conversation: Conversation, question: int | None, answers: Sequence[int] | None = None) -> Conversation:
    """The part of a row that is trained: one turn, with the images of those before it in front of its own, or all
    turns; each with the chosen one of its accepted answers."""
    turns = conversation.conversations
    if question is not None:
        images = tuple(image for turn in turns[: question + 1] for image in turn.images)
        turns = (_with(turns[question], images=images),)
    if answers is not None:
        turns = tuple(
            _with(turn, assistant=accepted_answers(turn)[number]) for turn, number in zip(turns, answers, strict=True)
        )
    return Conversation(id=conversation.id, source=conversation.source, conversations=turns)


def retold(conversation: Conversation, history: Sequence[str]) -> Conversation:
    """The row with these answers to its first turns, in the place of those that it gives."""
    turns = conversation.conversations
    told = tuple(_with(turn, assistant=answer) for turn, answer in zip(turns, history, strict=False))
    return Conversation(id=conversation.id, source=conversation.source, conversations=told + turns[len(told) :])


def accepted_answers(turn: Turn) -> tuple[str, ...]:
    """All answers that count as right."""
    return turn.answers or (turn.assistant,)


class Sampler:
    """The order in which a run goes through its data. All ranks make the same one.

    The rows are read once where there is something to choose; no image is opened. `len()` is the number of samples of
    an epoch: rows, or pages where one question a page is taken.
    """

    def __init__(self, data: Sequence[Conversation], choice: Choice, seed: int) -> None:
        self._seed = seed
        facts = None if choice == Choice() else _read(data)
        self._pages = _pages(facts) if facts and choice.questions == "one" else _rows(len(data))
        self._answers = _answers(facts) if facts and choice.answer == "random" else None

    def __len__(self) -> int:
        return len(self._pages.starts) - 1

    def steps_of_epoch(self, batch_size: int) -> int:
        """Optimizer steps in one pass over the data; the last one may be smaller than the others."""
        return -(-len(self) // batch_size)

    def micro_batches(
        self, epoch: int, *, batch_size: int, per_rank: int, rank: int, world_size: int, skip_steps: int = 0
    ) -> Iterator[list[Slot]]:
        """What one rank does in one epoch: for each step `batch_size / (per_rank * world_size)` micro-batches.

        A step takes the next `batch_size` samples of the epoch's order, and each rank every `world_size`-th of those.
        None is left out: the last step of an epoch takes what is there, and a rank that has too few samples for it
        completes its micro-batches with fillers, which train nothing. The first `skip_steps` steps are passed over.
        """
        order = self._order(epoch)
        for start in range(skip_steps * batch_size, len(order.rows), batch_size):
            chosen = range(start, min(start + batch_size, len(order.rows)))
            slots = [order.slot(place) for place in chosen[rank::world_size]]
            filler = order.slot(start, filler=True)
            slots += [filler] * (batch_size // world_size - len(slots))
            for first in range(0, len(slots), per_rank):
                micro = slots[first : first + per_rank]
                real = [slot for slot in micro if not slot.filler]
                yield real or micro[:1]

    def _order(self, epoch: int) -> _Order:
        """All samples of one epoch, one after the other."""
        pages = np.random.Generator(np.random.PCG64([self._seed, epoch])).permutation(len(self))
        questions = self._draw(epoch, QUESTIONS, np.diff(self._pages.starts))
        chosen = (self._pages.starts[:-1] + questions)[pages]
        answers = self._answers
        drawn = None if answers is None else self._draw(epoch, ANSWERS, answers.num_accepted)
        return _Order(
            rows=self._pages.rows[chosen],
            turns=self._pages.turns[chosen],
            first_turns=None if answers is None else answers.first_turns,
            answers=drawn,
        )

    def _draw(self, epoch: int, stream: int, counts: Numbers) -> Numbers:
        """For each count a number from 0 to below it."""
        random = np.random.Generator(np.random.PCG64([self._seed, epoch, stream])).random(len(counts))
        return (random * counts).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class _Order:
    """An epoch: of each sample its row, and its turn or WHOLE; of every turn of the data the answer that is trained."""

    rows: Numbers
    turns: Numbers
    first_turns: Numbers | None
    answers: Numbers | None

    def slot(self, place: int, *, filler: bool = False) -> Slot:
        row, turn = int(self.rows[place]), int(self.turns[place])
        question = None if turn == WHOLE else turn
        return Slot(row=row, question=question, answers=self._answers_of(row, question), filler=filler)

    def _answers_of(self, row: int, question: int | None) -> tuple[int, ...] | None:
        if self.answers is None or self.first_turns is None:
            return None
        first, end = self.first_turns[row : row + 2]
        if question is not None:
            first, end = first + question, first + question + 1
        return tuple(self.answers[first:end].tolist())


@dataclass(frozen=True, kw_only=True)
class _Pages:
    """Of each page its questions: those of page k are `rows` and `turns` from `starts[k]` to below `starts[k + 1]`."""

    starts: Numbers
    rows: Numbers
    turns: Numbers


@dataclass(frozen=True, kw_only=True)
class _Answers:
    """How many answers every turn of the data accepts; the turns of row k start at `first_turns[k]`."""

    first_turns: Numbers
    num_accepted: Numbers


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """Of each row its page, whether it is taken whole, and its number of turns; of each turn its accepted answers."""

    page: Numbers
    whole: npt.NDArray[np.bool_]
    num_turns: Numbers
    num_accepted: Numbers


def _read(data: Sequence[Conversation]) -> _Facts:
    num_turns, num_accepted, page, whole = array("q"), array("q"), array("q"), array("b")
    pages: dict[bytes | int, int] = {}
    for row, conversation in enumerate(data):
        turns = conversation.conversations
        images = conversation.images
        num_turns.append(len(turns))
        num_accepted.extend([len(accepted_answers(turn)) for turn in turns])
        page.append(pages.setdefault(_digest(images) if images else row, len(pages)))
        whole.append(not images or len(turns) == 1)
    return _Facts(
        page=np.frombuffer(page, dtype=np.int64),
        whole=np.frombuffer(whole, dtype=np.bool_),
        num_turns=np.frombuffer(num_turns, dtype=np.int64),
        num_accepted=np.frombuffer(num_accepted, dtype=np.int64),
    )


def _digest(images: tuple[str, ...]) -> bytes:
    """16 bytes for the paths of a row, which may be long; no path holds a NUL."""
    return blake2b("\0".join(images).encode(), digest_size=16).digest()


def _rows(num_rows: int) -> _Pages:
    """Each row a page of its own, with one question, itself."""
    return _Pages(
        starts=np.arange(num_rows + 1), rows=np.arange(num_rows), turns=np.full(num_rows, WHOLE, dtype=np.int64)
    )


def _pages(facts: _Facts) -> _Pages:
    num_questions = np.where(facts.whole, 1, facts.num_turns)
    rows = np.repeat(np.arange(len(num_questions)), num_questions)
    turns = np.arange(len(rows)) - np.repeat(_starts(num_questions)[:-1], num_questions)
    turns[facts.whole[rows]] = WHOLE
    page = facts.page[rows]
    by_page = np.argsort(page, kind="stable")
    return _Pages(starts=_starts(np.bincount(page)), rows=rows[by_page], turns=turns[by_page])


def _answers(facts: _Facts) -> _Answers:
    return _Answers(first_turns=_starts(facts.num_turns), num_accepted=facts.num_accepted)


def _starts(counts: Numbers) -> Numbers:
    """Where each of several runs of these lengths starts, and where the last one ends."""
    return np.concatenate(([0], np.cumsum(counts)))


def _with(turn: Turn, *, images: tuple[str, ...] | None = None, assistant: str | None = None) -> Turn:
    return Turn(
        images=turn.images if images is None else images,
        user=turn.user,
        assistant=turn.assistant if assistant is None else assistant,
        answers=turn.answers,
    )
