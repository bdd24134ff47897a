"""The numbers of a data set, as `phidata stats --format json` writes them."""

from __future__ import annotations

import msgspec

from phidata.statistics.distribution import Spread
from phidata.statistics.tally import Ranking

FORMAT_VERSION = 1


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be read: how many, and what the first one said."""

    count: int
    first: str | None = None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One named range and how many values lie in it."""

    value: str
    count: int


class ImageNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """The images as the rows show them: one that is shown twice is counted twice. `aspect_ratios` go from tall to wide;
    each image is counted at the nearest one. `tokens` is what one image takes in the model's input."""

    width: Spread
    height: Spread
    bytes: Spread
    tokens: Spread
    sizes: Ranking
    formats: Ranking
    aspect_ratios: tuple[Share, ...]


class VideoNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """The rows whose `metadata` tells `seconds`, the length of the video they were made from, and `fps`."""

    seconds: Spread
    fps: Spread


class SplitNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """One split, or all of them together. `tokens` are those of whole rows, `text_tokens` without their images."""

    rows: int
    turns: int
    images: int
    unreadable_rows: Loss
    unreadable_images: Loss
    turns_per_row: Spread
    images_per_row: Spread
    user_chars: Spread
    assistant_chars: Spread
    sources: Ranking
    answers: Ranking
    text_tokens: Spread
    tokens: Spread
    image: ImageNumbers
    video: VideoNumbers


class TokenBasis(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens were counted: images always exactly, texts `exact` by the tokenizer or estimated."""

    model: str
    num_crops: int
    exact: bool


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """A whole data set in numbers. `media` is "none" when no image was looked at: then their numbers are empty, and
    `tokens` are those of the texts. `distinct_images` is what the folder's manifest says."""

    format_version: int
    path: str
    shape: str
    media: str
    token_basis: TokenBasis
    distinct_images: int | None
    splits: dict[str, SplitNumbers]
    all: SplitNumbers

    @property
    def complete(self) -> bool:
        """Whether every row and every image could be read."""
        return not (self.all.unreadable_rows.count or self.all.unreadable_images.count)

    def to_json(self) -> bytes:
        """The JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
