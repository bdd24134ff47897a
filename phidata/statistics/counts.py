"""What is counted of a split: made row by row, and added up over splits."""

from __future__ import annotations

import math
from bisect import bisect
from itertools import pairwise
from typing import TypeGuard

from phidata.media.headers import ImageHeader
from phidata.records import Conversation
from phidata.statistics.distribution import Distribution
from phidata.statistics.summary import ImageNumbers, Loss, Share, SplitNumbers, VideoNumbers
from phidata.statistics.tally import Tally

RATIOS = {
    "1:3": 1 / 3, "1:2": 1 / 2, "9:16": 9 / 16, "2:3": 2 / 3, "3:4": 3 / 4, "1:1": 1.0,
    "4:3": 4 / 3, "3:2": 3 / 2, "16:9": 16 / 9, "2:1": 2.0, "3:1": 3.0,
}  # fmt: skip
_BETWEEN = [math.sqrt(narrow * wide) for narrow, wide in pairwise(RATIOS.values())]
_MILLI = 1000


class Losses:
    """Counts what can not be read, and keeps what the first one says."""

    def __init__(self) -> None:
        self._count = 0
        self._first: str | None = None

    def add(self, sentence: str) -> None:
        self._count += 1
        self._first = self._first or sentence

    def merge(self, other: Losses) -> None:
        self._count += other._count
        self._first = self._first or other._first

    def loss(self) -> Loss:
        return Loss(count=self._count, first=self._first)


class Counts:
    """All that `phidata stats` counts. Memory does not grow with the number of rows."""

    def __init__(self) -> None:
        self.bad_rows, self.bad_images = Losses(), Losses()
        self.turns, self.images = Distribution(), Distribution()
        self.user_chars, self.assistant_chars = Distribution(), Distribution()
        self.sources, self.answers = Tally(), Tally()
        self.text_tokens, self.tokens = Distribution(), Distribution()
        self.width, self.height, self.bytes = Distribution(), Distribution(), Distribution()
        self.sizes, self.formats, self.ratio = Tally(), Tally(), Distribution()
        self.image_tokens = Distribution()
        self.seconds, self.fps = Distribution(_MILLI), Distribution(_MILLI)

    def add_row(self, row: Conversation) -> None:
        """Count what stands in a row itself."""
        self.turns.add(len(row.conversations))
        self.images.add(sum(len(turn.images) for turn in row.conversations))
        self.sources.add(row.source)
        for turn in row.conversations:
            self.user_chars.add(len(turn.user))
            self.assistant_chars.add(len(turn.assistant))
            self.answers.add(turn.assistant)
        for name, numbers in (("seconds", self.seconds), ("fps", self.fps)):
            if is_measure(value := (row.metadata or {}).get(name)):
                numbers.add(value)

    def add_image(self, header: ImageHeader, num_bytes: int, num_tokens: int | None) -> None:
        """Count one image of a row."""
        self.width.add(header.width)
        self.height.add(header.height)
        self.bytes.add(num_bytes)
        self.sizes.add(f"{header.width}×{header.height}")
        self.formats.add(header.format)
        if num_tokens is not None:
            self.image_tokens.add(num_tokens)
        self.ratio.add(bisect(_BETWEEN, header.width / header.height))

    def merge(self, other: Counts) -> None:
        """Count all that the other one has counted."""
        for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True):
            mine.merge(theirs)

    def numbers(self, top: int) -> SplitNumbers:
        """What has been counted; of texts the `top` most frequent."""
        turns, images = self.turns.spread(), self.images.spread()
        return SplitNumbers(
            rows=turns.count,
            turns=int(turns.sum),
            images=int(images.sum),
            unreadable_rows=self.bad_rows.loss(),
            unreadable_images=self.bad_images.loss(),
            turns_per_row=turns,
            images_per_row=images,
            user_chars=self.user_chars.spread(),
            assistant_chars=self.assistant_chars.spread(),
            sources=self.sources.ranking(top),
            answers=self.answers.ranking(top),
            text_tokens=self.text_tokens.spread(),
            tokens=self.tokens.spread(),
            image=self._image_numbers(top),
            video=VideoNumbers(seconds=self.seconds.spread(), fps=self.fps.spread()),
        )

    def _image_numbers(self, top: int) -> ImageNumbers:
        counted = {int(bar.start): bar.count for bar in self.ratio.spread().histogram}
        return ImageNumbers(
            width=self.width.spread(),
            height=self.height.spread(),
            bytes=self.bytes.spread(),
            tokens=self.image_tokens.spread(),
            sizes=self.sizes.ranking(top),
            formats=self.formats.ranking(top),
            aspect_ratios=tuple(
                Share(value=name, count=counted[index]) for index, name in enumerate(RATIOS) if index in counted
            ),
        )


def is_measure(value: object) -> TypeGuard[float]:
    """Whether a value of `metadata` is a length or a rate: a finite number from 0 up."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
