"""One walk over the rows of a split: texts, the headers of the images, tokens."""

from __future__ import annotations

from collections.abc import Callable

from phidata.errors import DataError
from phidata.loading import ConversationData
from phidata.records import Conversation
from phidata.statistics.counts import Counts
from phidata.statistics.pictures import image_headers
from phidata.statistics.row_tokens import RowTokens

BATCH_ROWS = 512  # what is in memory at a time, and what is tokenised together


def count_split(
    data: ConversationData, tokens: RowTokens, *, media: bool, told: Callable[[int], object] = lambda _: None
) -> Counts:
    """Count all rows; one that can not be read, or whose image can not, is counted as such. `told` hears how many rows
    are done."""
    counts = Counts()
    for start in range(0, len(data), BATCH_ROWS):
        numbers = range(start, min(start + BATCH_ROWS, len(data)))
        rows = {number: row for number in numbers if (row := _row(data, number, counts)) is not None}
        for (number, row), text_tokens in zip(rows.items(), tokens.of_text(list(rows.values())), strict=True):
            counts.add_row(row)
            counts.text_tokens.add(text_tokens)
            image_tokens = _count_images(data, number, row, tokens, counts) if media else 0
            if image_tokens is not None:
                counts.tokens.add(text_tokens + image_tokens)
        told(len(numbers))
    return counts


def _row(data: ConversationData, number: int, counts: Counts) -> Conversation | None:
    try:
        return data[number]
    except DataError as error:
        counts.bad_rows.add(str(error))
        return None


def _count_images(
    data: ConversationData, number: int, row: Conversation, tokens: RowTokens, counts: Counts
) -> int | None:
    """The tokens of all images of a row; None when one of them can not be read or used."""
    total: int | None = 0
    for found in image_headers(data, number, row):
        if isinstance(found, DataError):
            counts.bad_images.add(f"{data.where(number)}: {found}")
            total = None
            continue
        header, num_bytes = found
        num_tokens = tokens.of_image(header.width, header.height)
        counts.add_image(header, num_bytes, num_tokens)
        total = None if total is None or num_tokens is None else total + num_tokens
    return total
