"""Which rows a rank takes when, and rows as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from phidata import Conversation, DataError
from phitrain.models.adapter import Inputs, Preprocessor
from phitrain.render import Rendered, prompt_for_turn, render

if TYPE_CHECKING:
    from PIL.Image import Image

    from phidata import ConversationData

IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One place in a micro-batch: a row, and for evaluation the turn to answer. A filler trains nothing."""

    row: int
    turn: int | None = None
    filler: bool = False


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
    """The rows of a data set, rendered when they are asked for by slot."""

    def __init__(self, data: ConversationData, preprocessor: Preprocessor, max_length: int | None = None) -> None:
        self.data = data
        self.preprocessor = preprocessor
        self.max_length = max_length or preprocessor.max_length

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, slot: Slot) -> Sample:
        """Raises DataError, naming the row, for an image that can not be opened and for too long a conversation."""
        conversation = self.data[slot.row]
        if slot.turn is not None:
            asked = conversation.conversations[: slot.turn + 1]
            conversation = Conversation(id=conversation.id, source=conversation.source, conversations=asked)
        images = self.data.images(slot.row, num_turns=len(conversation.conversations))
        sizes = self._image_tokens(slot.row, images)
        if slot.turn is None:
            rendered = render(conversation, sizes, self.preprocessor.chat)
        else:
            rendered = prompt_for_turn(conversation, slot.turn, sizes, self.preprocessor.chat)
        self._refuse_long(slot.row, len(rendered))
        pixels = self.preprocessor.pixels(images) if images else {}
        return Sample(slot=slot, rendered=rendered, pixels=pixels, num_crops=self.preprocessor.num_crops_of(pixels))

    def check(self, row: int) -> None:
        """Raise DataError for a row that can not be used: not a conversation, an image not there, or too long.

        Images are opened only where the row would be too long if each of them took the most tokens it can.
        """
        conversation = self.data[row]
        if missing := self.data.missing_images(row):
            place = f"below {self.data.image_root}" if self.data.image_root else "in the shard"
            raise DataError(
                f"{self.data.where(row)}: there is no image {missing[0]} {place}; put it there or leave the row out"
            )
        chat, most = self.preprocessor.chat, self.preprocessor.max_image_tokens
        if len(render(conversation, [most] * len(conversation.images), chat)) > self.max_length:
            sizes = self._image_tokens(row, self.data.images(row))
            self._refuse_long(row, len(render(conversation, sizes, chat)))

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


def steps_of_epoch(num_rows: int, batch_size: int) -> int:
    """Optimizer steps in one pass over the data; the last one may be smaller than the others."""
    return -(-num_rows // batch_size)


def micro_batches(
    num_rows: int, *, seed: int, epoch: int, batch_size: int, per_rank: int, rank: int, world_size: int
) -> Iterator[list[Slot]]:
    """What one rank does in one epoch: for each optimizer step `batch_size / (per_rank * world_size)` micro-batches.

    The order of the rows depends on seed and epoch alone. A step takes the next `batch_size` of them, and each rank
    every `world_size`-th of those. No row is left out: the last step of an epoch takes what is there, and a rank that
    has too few rows for it completes its micro-batches with fillers, which train nothing.
    """
    order = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(num_rows)
    for start in range(0, num_rows, batch_size):
        rows = order[start : start + batch_size]
        slots = [Slot(row=int(row)) for row in rows[rank::world_size]]
        slots += [Slot(row=int(rows[0]), filler=True)] * (batch_size // world_size - len(slots))
        for first in range(0, len(slots), per_rank):
            micro = slots[first : first + per_rank]
            real = [slot for slot in micro if not slot.filler]
            yield real or micro[:1]


def load_batches(
    samples: Samples, batches: Sequence[list[Slot]], *, num_workers: int, left: bool = False
) -> Iterator[Batch]:
    """The batches in the given order; with workers they are made ahead, in other processes."""
    loader: DataLoader[Any] = DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=num_workers,
        collate_fn=_Collate(samples.preprocessor.pad_id, left=left),
    )
    return iter(loader)


class _Collate:
    """`collate` with its options bound, in a form that can be sent to workers."""

    def __init__(self, pad_id: int, *, left: bool) -> None:
        self.pad_id = pad_id
        self.left = left

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        return collate(samples, self.pad_id, left=self.left)
