"""How many tokens a row has in the format that Phi-3-vision is trained in.

Images are counted from their sizes and are always exact. Text is counted by the model's tokenizer where the package
`tokenizers` and the tokenizer's file are there, and estimated where they are not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from phidata.errors import DataError
from phidata.records import Conversation

NUM_CROPS = 16

# What stands around the texts of a row (phitrain's renderer): a beginning-of-sequence id at the start and behind each
# image, the control tokens of a turn, and a line end before the images of a turn.
_ROW, _TURN, _LINE_END, _IMAGE = 2, 8, 2, 1

# Characters and bytes a token, measured on English, Chinese, Japanese and Russian with the model's tokenizer.
_ASCII_A_TOKEN, _BYTES_A_TOKEN = 3.3, 2.4


class RowTokens:
    """Counts the tokens of rows. `exact` says whether texts are counted or estimated."""

    def __init__(self, *, num_crops: int = NUM_CROPS) -> None:
        from phidata.media.tokens import num_image_tokens

        self._tokenizer = _tokenizer()
        self._num_crops = num_crops
        self._image_tokens = lru_cache(maxsize=1 << 16)(num_image_tokens)

    @property
    def exact(self) -> bool:
        return self._tokenizer is not None

    def of_image(self, width: int, height: int) -> int | None:
        """The positions that an image of that size takes; None for one so thin that the model refuses it."""
        try:
            return int(self._image_tokens(width, height, self._num_crops))
        except DataError:
            return None

    def of_text(self, rows: Sequence[Conversation]) -> list[int]:
        """For each row all its tokens but those of its images; many rows at once are counted faster."""
        texts = [text for row in rows for turn in row.conversations for text in ("\n" + turn.user, turn.assistant)]
        counts = iter(self._count(texts))
        return [
            _ROW
            + sum(islice(counts, 2 * len(row.conversations)))
            + sum(_TURN + (len(turn.images) * _IMAGE + _LINE_END if turn.images else 0) for turn in row.conversations)
            for row in rows
        ]

    def _count(self, texts: list[str]) -> Iterable[int]:
        if self._tokenizer is None:
            return map(_estimate, texts)
        return map(len, self._tokenizer.encode_batch_fast(texts, add_special_tokens=False))


def _estimate(text: str) -> int:
    num_bytes = len(text.encode("utf-8", "replace"))
    num_ascii = num_bytes if text.isascii() else sum(character.isascii() for character in text)
    return round(num_ascii / _ASCII_A_TOKEN + (num_bytes - num_ascii) / _BYTES_A_TOKEN)


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    """The model's tokenizer without its control tokens, since text that spells one stays text; None without one."""
    trainer = find_spec("phitrain")  # looked for, not imported: its folder has the file
    if find_spec("tokenizers") is None or trainer is None or not trainer.submodule_search_locations:
        return None
    file = Path(trainer.submodule_search_locations[0], "models/phi3v/tokenizer/tokenizer.json")
    if not file.is_file():
        return None
    from tokenizers import Tokenizer

    backend = json.loads(file.read_text("utf-8"))
    return Tokenizer.from_str(json.dumps(backend | {"added_tokens": []}))
