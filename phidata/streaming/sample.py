"""One sample of a stream: a row, where it comes from, and its images when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from phidata.records import Conversation
from phidata.streaming.sources import Address, opened

if TYPE_CHECKING:
    from PIL.Image import Image


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a data set, and its place in the stream.

    `position` counts the samples of the epoch, of all ranks together, from 0. `number` is the row's in its split,
    `source` the name of its data set. Can be sent to another process, which opens the data set again for the images.
    """

    row: Conversation
    epoch: int
    position: int
    source: str
    number: int
    address: Address

    def images(self, *, num_turns: int | None = None) -> list[Image]:
        """The images of all turns (or the first `num_turns`), decoded now, as PIL images in mode RGB.

        Raises DataError naming file, line, row and path when one is missing or can not be decoded.
        """
        return opened(self.address).images(self.number, num_turns=num_turns)

    def image_bytes(self) -> list[bytes]:
        """The images as they are stored, one for each path of `row.images`. Raises DataError as `images` does."""
        return opened(self.address).image_bytes(self.number)

    @property
    def where(self) -> str:
        """File, line and id of the row, for messages."""
        return opened(self.address).where(self.number)
