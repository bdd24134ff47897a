"""Rows as padded batches."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from phidata import DataError
from phitrain.models.adapter import Inputs, Preprocessor
from phitrain.render import Rendered, prompt_for_turn, render
from phitrain.sampler import Choice, Slot, accepted_answers, questions_of, retold, taken

if TYPE_CHECKING:
    from PIL.Image import Image

    from phidata import ConversationData, Turn

__all__ = [
    "IGNORED",
    "Batch",
    "Sample",
    "Samples",
    "Slot",
    "collate",
    "load_batches",
    "named_worker_death",
]

IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One rendered conversation with its image inputs."""

    slot: Slot
    rendered: Rendered
    pixels: Inputs
    num_crops: int


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Samples side by side. `inputs` and `labels` (batch, tokens) go to the model; the counts leave fillers out.

    `lengths`: tokens of each sample, without padding. `num_crops`: crops of 336 x 336 that the vision tower runs.
    """

    slots: list[Slot]
    inputs: Inputs
    labels: Tensor
    num_supervised: int
    num_tokens: int
    num_images: int
    num_crops: int
    lengths: tuple[int, ...]


class Samples(Dataset[Sample]):
    """The rows of a data set, rendered when they are asked for by slot. `choice`: what may be asked for to train."""

    def __init__(
        self,
        data: ConversationData,
        preprocessor: Preprocessor,
        max_length: int | None = None,
        choice: Choice | None = None,
    ) -> None:
        self.data = data
        self.preprocessor = preprocessor
        self.max_length = max_length or preprocessor.max_length
        self.choice = choice or Choice()

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, slot: Slot) -> Sample:
        """Raises DataError, naming the row, for an image that can not be opened and for too long a conversation."""
        conversation = self.data[slot.row]
        last = slot.question if slot.turn is None else slot.turn
        images = self.data.images(slot.row, num_turns=None if last is None else last + 1)
        sizes = self._image_tokens(slot.row, images)
        if slot.turn is None:
            trained = taken(conversation, slot.question, slot.answers)
            rendered = render(trained, sizes, self.preprocessor.chat)
        else:
            told = conversation if slot.history is None else retold(conversation, slot.history)
            rendered = prompt_for_turn(told, slot.turn, sizes, self.preprocessor.chat)
        self._refuse_long(slot.row, len(rendered))
        pixels = self.preprocessor.pixels(images) if images else {}
        return Sample(slot=slot, rendered=rendered, pixels=pixels, num_crops=self.preprocessor.num_crops_of(pixels))

    def check(self, row: int) -> None:
        """Raise DataError for a row that can not be used: not a conversation, without turns, an image not there, or
        too long in any way that it can be chosen.

        Images are opened only where the row would be too long if each of them took the most tokens it can.
        """
        conversation = self.data[row]
        if not conversation.conversations:
            raise DataError(f"{self.data.where(row)} has no turns, so nothing to train on; leave the row out")
        if missing := self._missing_images(row):
            place = f"below {self.data.image_root}" if self.data.image_root else "in the shard"
            raise DataError(
                f"{self.data.where(row)}: there is no image {missing[0]} {place}; put it there or leave the row out"
            )
        chat, most = self.preprocessor.chat, self.preprocessor.max_image_tokens
        for question in questions_of(conversation, self.choice):
            trained = taken(conversation, question)
            if self.choice.answer == "random":
                trained = taken(trained, None, [self._longest(turn) for turn in trained.conversations])
            if len(render(trained, [most] * len(trained.images), chat)) > self.max_length:
                images = self.data.images(row, num_turns=None if question is None else question + 1)
                self._refuse_long(row, len(render(trained, self._image_tokens(row, images), chat)))

    def _missing_images(self, row: int) -> list[str]:
        try:
            return self.data.missing_images(row)
        except DataError as error:
            raise DataError(f"{self.data.where(row)}: {error}") from error

    def _longest(self, turn: Turn) -> int:
        answers = accepted_answers(turn)
        lengths = [len(self.preprocessor.chat.encode_text(answer)) for answer in answers]
        return lengths.index(max(lengths))

    def _image_tokens(self, row: int, images: Sequence[Image]) -> list[int]:
        try:
            return [self.preprocessor.num_image_tokens(image.width, image.height) for image in images]
        except DataError as error:
            raise DataError(f"{self.data.where(row)}: {error}") from error

    def _refuse_long(self, row: int, length: int) -> None:
        if length > self.max_length:
            raise DataError(
                f"{self.data.where(row)} takes {length} tokens, more than max_length "
                f"{self.max_length}; lower num_crops, give it fewer images, or leave the row out"
            )


def collate(samples: Sequence[Sample], pad_id: int, *, left: bool = False) -> Batch:
    """Pad to the longest sample, on the right to train and on the left to generate.

    The attention mask comes from the lengths: a token that equals `pad_id` inside a sample is not padding.
    """
    rows = len(samples)
    tokens = max(len(sample.rendered) for sample in samples)
    ids = torch.full((rows, tokens), pad_id, dtype=torch.long)
    mask = torch.zeros((rows, tokens), dtype=torch.long)
    labels = torch.full((rows, tokens), IGNORED, dtype=torch.long)
    for row, sample in enumerate(samples):
        length = len(sample.rendered)
        place = slice(tokens - length, tokens) if left else slice(0, length)
        ids[row, place] = torch.tensor(sample.rendered.ids)
        mask[row, place] = 1
        if not sample.slot.filler:
            supervised = torch.tensor(sample.rendered.supervised)
            labels[row, place] = torch.where(supervised, ids[row, place], IGNORED)
    names = sorted({name for sample in samples for name in sample.pixels})
    pixels = {name: torch.cat([s.pixels[name] for s in samples if name in s.pixels]) for name in names}
    real = [sample for sample in samples if not sample.slot.filler]
    return Batch(
        slots=[sample.slot for sample in samples],
        inputs={"input_ids": ids, "attention_mask": mask, **pixels},
        labels=labels,
        num_supervised=int((labels != IGNORED).sum()),
        num_tokens=sum(len(sample.rendered) for sample in real),
        num_images=sum(sample.rendered.num_images for sample in real),
        num_crops=sum(sample.num_crops for sample in real),
        lengths=tuple(len(sample.rendered) for sample in real),
    )


def load_batches(
    samples: Samples, batches: Iterable[list[Slot]], *, num_workers: int, left: bool = False
) -> Iterator[Batch]:
    """The batches in the given order; with workers they are made ahead, in other processes.

    Raises what making a batch raises, and DataError for a worker that was killed.
    """
    loader: DataLoader[Any] = DataLoader(
        _Reported(samples),
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=_Collate(samples.preprocessor.pad_id, left=left),
        # Its own, or each iterator would take a number from the run's, and one that goes on would differ in dropout.
        generator=torch.Generator(),
        worker_init_fn=_leave_signals_to_the_run,
    )
    with named_worker_death(num_workers):
        try:
            for batch in loader:
                if isinstance(batch, DataError):
                    raise batch
                yield batch
        except (ConnectionError, EOFError) as error:  # a finished batch is fetched from its worker's memory
            if not num_workers or str(error).startswith("Caught"):  # which torch writes of an error in the worker
                raise
            raise _worker_death(error, num_workers) from error


@contextmanager
def named_worker_death(num_workers: int) -> Iterator[None]:
    """Raise DataError where torch raises that a data loader's process has died, as it does at any moment in between."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise _worker_death(error, num_workers) from error


def _worker_death(error: Exception, num_workers: int) -> DataError:
    rank = dist.get_rank() if dist.is_initialized() else 0
    found = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError(
        f"a process that opens images for rank {rank} has died ({found}), most often for lack of memory; give "
        f"--num_workers less than {num_workers}, or the machine more memory"
    )


def _leave_signals_to_the_run(_worker: int) -> None:
    """Ctrl-C and a scheduler's SIGTERM reach every process of a run; it needs its workers to end its step.

    The SIGTERM by which the run itself ends a worker still does: without it the run would wait for it for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere nothing tells who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_await_end_by, args=(os.getppid(),), daemon=True).start()


def _await_end_by(run: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != run:
        pass
    os._exit(0)


class _Reported(Dataset["Sample | DataError"]):
    """Samples, and in place of one that can not be made its error, to which torch would add a traceback as text."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, slot: Slot) -> Sample | DataError:
        try:
            return self.samples[slot]
        except DataError as error:
            return error


class _Collate:
    """`collate` with its options bound, in a form that can be sent to workers; the first error where there is one."""

    def __init__(self, pad_id: int, *, left: bool) -> None:
        self.pad_id = pad_id
        self.left = left

    def __call__(self, made: Sequence[Sample | DataError]) -> Batch | DataError:
        samples = [one for one in made if isinstance(one, Sample)]
        if len(samples) < len(made):
            return next(one for one in made if isinstance(one, DataError))
        return collate(samples, self.pad_id, left=self.left)
