"""What is looked for, and the checks of whole rows that are made only when somebody asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from phidata.diagnostics import token_rules
from phidata.errors import UsageError
from phidata.validation.accept import AcceptedRow
from phidata.validation.concern import Concern
from phidata.validation.inputs import MEDIA, Media
from phidata.validation.scan import Path
from phidata.validation.token_count import RowLength, Size, TokenCounter, TokenLimit
from phidata.validation.trainers import TRAINERS, Trainer, trainer_concerns

Sizes = Callable[[AcceptedRow], list[Size | None]]


class Findings(NamedTuple):
    """What checks of whole rows found: for each row its concerns, and the tokens of the rows that were counted."""

    concerns: list[list[Concern]]
    tokens: list[int]


@dataclass(frozen=True, kw_only=True)
class Checks:
    """How closely images are looked at, for which trainer rows are judged, and whether their tokens are counted."""

    media: Media = "header"
    trainer: Trainer | None = None
    tokens: TokenLimit | None = None

    def check(self) -> None:
        """Raise UsageError for what there is not."""
        if self.media not in MEDIA:
            raise UsageError(f"media is {self.media!r}; it can be {', '.join(map(repr, MEDIA))}")
        if self.trainer is not None and self.trainer not in TRAINERS:
            raise UsageError(f"no trainer {self.trainer!r} is known; there are {', '.join(TRAINERS)}")
        if self.tokens is not None:
            self.tokens.check()

    def of_rows(self) -> RowChecks | None:
        """The checks of whole rows, where any is asked for."""
        return RowChecks(self) if self.trainer or self.tokens else None


class RowChecks:
    """What can be said about rows that are right, seen from a trainer."""

    def __init__(self, checks: Checks) -> None:
        self._trainer = checks.trainer
        self._limit = checks.tokens
        counted = checks.tokens or (TokenLimit() if checks.trainer == "phitrain" else None)
        self._counter = TokenCounter(counted) if counted else None

    def look(self, rows: Sequence[AcceptedRow], sizes: Sizes) -> Findings:
        """What is to be said about each of the rows, and the tokens of those that could be counted."""
        concerns: list[list[Concern]] = [[] for _ in rows]
        if self._trainer:
            for row, own in zip(rows, concerns, strict=True):
                own += trainer_concerns(self._trainer, row.conversations)
        lengths: list[int] = []
        if self._counter:
            for number, length in self._counted(rows, sizes, concerns, self._counter):
                lengths.append(length.total)
                concerns[number] += self._over_limit(rows[number], length)
        return Findings(concerns, lengths)

    def _counted(
        self, rows: Sequence[AcceptedRow], sizes: Sizes, concerns: list[list[Concern]], counter: TokenCounter
    ) -> Iterator[tuple[int, RowLength]]:
        """The length of each row of whose images all sizes are known; images that are too thin become concerns."""
        numbers: list[int] = []
        images: list[list[int]] = []
        for number, row in enumerate(rows):
            own: list[int] = []
            for path, size in zip(_image_paths(row), sizes(row), strict=True):
                if size and (tokens := counter.of_image(size)) is not None:
                    own.append(tokens)
                elif size:
                    message = f"an image of {size[0]} x {size[1]} pixels is too thin for the model"
                    concerns[number].append(Concern(token_rules.IMAGE_TOO_THIN, path, message))
            if len(own) == sum(len(turn.images) for turn in row.conversations):
                numbers.append(number)
                images.append(own)
        if self._limit:
            yield from zip(numbers, counter.lengths([rows[number] for number in numbers], images), strict=True)

    def _over_limit(self, row: AcceptedRow, length: RowLength) -> Iterator[Concern]:
        limit = self._limit.max_length if self._limit else None
        if limit is None or length.total <= limit:
            return
        cut = next((number for number, (start, end) in enumerate(length.images) if start < limit < end), None)
        if cut is None:
            message = f"the row takes {length.total:,} tokens, more than {limit:,}"
            yield Concern(token_rules.TOO_LONG, ("conversations",), message)
            return
        start, end = length.images[cut]
        path = next(islice(_image_paths(row), cut, None))
        message = (
            f"the row takes {length.total:,} tokens; a limit of {limit:,} would cut through this image, which takes "
            f"those from {start + 1:,} to {end:,}"
        )
        yield Concern(token_rules.IMAGE_CUT, path, message)


def _image_paths(row: AcceptedRow) -> Iterator[Path]:
    """Where each image of a row stands in it, in reading order."""
    for number, turn in enumerate(row.conversations):
        for place in range(len(turn.images)):
            yield "conversations", number, "images", place
