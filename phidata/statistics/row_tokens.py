"""How many tokens a row has in the format that Phi-3-vision is trained in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from phidata.records import Conversation
from phidata.validation.token_count import TokenCounter, TokenLimit

if TYPE_CHECKING:
    from phidata.validation.accept import AcceptedRow

NUM_CROPS = 16


class RowTokens:
    """Counts the tokens of rows. `exact` says whether texts are counted by the tokenizer or estimated."""

    def __init__(self, *, num_crops: int = NUM_CROPS) -> None:
        limit = TokenLimit(num_crops=num_crops)
        self.exact = limit.is_exact
        self._counter = TokenCounter(limit)

    def of_image(self, width: int, height: int) -> int | None:
        """The positions that an image of that size takes; None for one so thin that the model refuses it."""
        return self._counter.of_image((width, height))

    def of_text(self, rows: Sequence[Conversation]) -> list[int]:
        """For each row all its tokens but those of its images; many rows at once are counted faster."""
        without_images = [[0] * len(row.images) for row in rows]
        same_fields = cast("Sequence[AcceptedRow]", rows)
        return [length.total for length in self._counter.lengths(same_fields, without_images)]
