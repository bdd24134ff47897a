"""How many tokens a row takes in the format in which phitrain trains Phi-3-vision, without the model or torch.

Images are counted by their size, which is exact. Texts are counted by the model's tokenizer where the package
`tokenizers` and its file are there, else estimated; so is a text of millions of characters, which no model takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from phidata.errors import DataError, UsageError
from phidata.media.tokens import num_image_tokens
from phidata.validation.accept import AcceptedRow

MODELS = ("phi3v",)
TOKENIZER_FILE = "tokenizer.json"

# The control tokens around the texts, by phitrain's renderer: the beginning of the sequence at the start and again
# behind each image, what opens the user's words, what ends them and opens the answer, what ends that, and the end.
BEGIN, OPEN_USER, OPEN_ASSISTANT, END_ASSISTANT, CLOSE = 1, 1, 4, 3, 1
LINE_END = 2  # before the images of a turn

# Characters and bytes a token, measured on English, Chinese, Japanese and Russian with the model's tokenizer.
ASCII_A_TOKEN, BYTES_A_TOKEN = 3.3, 2.4

MAX_COUNTED = 1 << 22  # characters of a text that is counted by the tokenizer, which then takes seconds

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class TokenLimit:
    """How tokens are counted: the model's `num_crops`, the most a row may have, and where its tokenizer is.

    `tokenizer` is a tokenizer.json, or a folder that has one; by default that of an installed phitrain.
    """

    model: str = "phi3v"
    num_crops: int = 16
    max_length: int | None = None
    tokenizer: str | None = None

    def check(self) -> None:
        """Raise UsageError for what can not be counted so."""
        if self.model not in MODELS:
            raise UsageError(f"tokens of {self.model!r} can not be counted; the models are {', '.join(MODELS)}")
        if self.num_crops < 1:
            raise UsageError(f"num_crops is {self.num_crops}; it has to be 1 or more")
        if self.max_length is not None and self.max_length < 1:
            raise UsageError(f"max_length is {self.max_length}; it has to be 1 or more")
        if self.tokenizer is not None:
            if find_spec("tokenizers") is None:
                raise UsageError("a tokenizer was named, but `tokenizers` is not installed; pip install tokenizers")
            load_tokenizer(tokenizer_file(self.tokenizer))

    @property
    def is_exact(self) -> bool:
        """Whether texts are counted by the tokenizer, not estimated."""
        return find_spec("tokenizers") is not None and tokenizer_file(self.tokenizer) is not None


@dataclass(frozen=True, kw_only=True)
class RowLength:
    """The tokens of one row, and for each of its images where its tokens begin and end."""

    total: int
    images: tuple[tuple[int, int], ...]


class TokenCounter:
    """Counts the tokens of rows, many at a time."""

    def __init__(self, limit: TokenLimit) -> None:
        self._tokenizer = load_tokenizer(tokenizer_file(limit.tokenizer)) if limit.is_exact else None
        self._num_crops = limit.num_crops
        self._of_image = lru_cache(maxsize=1 << 16)(self._count_image)

    def of_image(self, size: Size) -> int | None:
        """The positions that an image takes; None for one so thin that the model refuses it."""
        return self._of_image(size)

    def lengths(self, rows: Sequence[AcceptedRow], images: Sequence[Sequence[int]]) -> Iterator[RowLength]:
        """The length of each row, given the positions that each of its images takes."""
        texts = [text for row in rows for turn in row.conversations for text in ("\n" + turn.user, turn.assistant)]
        counts = iter(self._count(texts))
        for row, own in zip(rows, images, strict=True):
            yield _length(row, iter(own), counts)

    def _count(self, texts: list[str]) -> Iterable[int]:
        if self._tokenizer is None:
            return map(_estimate, texts)
        counted = [text if len(text) <= MAX_COUNTED else "" for text in texts]
        exact = map(len, self._tokenizer.encode_batch_fast(counted, add_special_tokens=False))
        return (of_text or _estimate(text) for text, of_text in zip(texts, exact, strict=True))

    def _count_image(self, size: Size) -> int | None:
        try:
            return num_image_tokens(*size, self._num_crops)
        except DataError:
            return None


def tokenizer_file(named: str | None) -> Path | None:
    """The tokenizer's file: the one that is named, else that of phitrain, whose folder is looked for without importing
    it. None when there is none. Raises UsageError when nothing is where it was named.
    """
    if named is not None:
        file = Path(named, TOKENIZER_FILE) if Path(named).is_dir() else Path(named)
        if not file.is_file():
            raise UsageError(f"no tokenizer {file}; give a {TOKENIZER_FILE} or the model's folder")
        return file
    trainer = find_spec("phitrain")
    if trainer is None or not trainer.submodule_search_locations:
        return None
    file = Path(trainer.submodule_search_locations[0], "models", "phi3v", "tokenizer", TOKENIZER_FILE)
    return file if file.is_file() else None


def load_tokenizer(file: Path | None) -> Any:
    """The tokenizer without its control tokens: a text that spells one stays text."""
    from tokenizers import Tokenizer

    assert file is not None
    try:
        backend = json.loads(file.read_text("utf-8"))
        return Tokenizer.from_str(json.dumps(backend | {"added_tokens": []}))
    except Exception as error:  # the library raises Exception itself
        raise UsageError(f"{file} is not a tokenizer ({str(error)[:80]}); give the model's {TOKENIZER_FILE}") from error


def _length(row: AcceptedRow, images: Iterator[int], texts: Iterator[int]) -> RowLength:
    position = BEGIN
    spans: list[tuple[int, int]] = []
    for turn in row.conversations:
        position += OPEN_USER + (LINE_END if turn.images else 0)
        for _ in turn.images:
            spans.append((position, position + next(images)))
            position = spans[-1][1] + BEGIN
        position += next(texts) + OPEN_ASSISTANT
        position += next(texts) + END_ASSISTANT
    return RowLength(total=position + CLOSE, images=tuple(spans))


def _estimate(text: str) -> int:
    num_bytes = len(text.encode("utf-8", "replace"))
    num_ascii = num_bytes if text.isascii() else sum(character.isascii() for character in text)
    return round(num_ascii / ASCII_A_TOKEN + (num_bytes - num_ascii) / BYTES_A_TOKEN)
