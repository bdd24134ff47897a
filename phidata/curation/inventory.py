"""What the rows of a data set show and say, in a form in which rows can be compared."""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import msgspec
from PIL import UnidentifiedImageError
from PIL.Image import DecompressionBombError

from phidata.console import progress
from phidata.curation.inputs import each_row
from phidata.curation.perceptual import hash_of_bytes
from phidata.diagnostics.excerpt import printable
from phidata.loading import ConversationData
from phidata.media.pillow import UNDECODABLE, strict_pillow
from phidata.media.signature import HEAD_BYTES, not_an_image
from phidata.records import Conversation

_ROWS_AHEAD = 16  # whose images are in memory, for each thread


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """An image by its bytes, and the path by which it was first met.

    `look` is its perceptual hash: None for a picture without structure, for one that can not be decoded, of which
    `problem` says why, and where looks were not asked for.
    """

    path: str
    look: int | None
    problem: str | None


class Inventory:
    """The rows of some splits, numbered through all of them, and the images they show, each content once.

    Memory: some 150 bytes a row, 8 for each image that it shows, some 400 for each image of its own.
    """

    def __init__(self, splits: Mapping[str, ConversationData]) -> None:
        self.splits = dict(splits)
        self.ids: list[str] = []
        self.contents: list[Content] = []
        self.content_of: dict[bytes, int] = {}  # sha256 → place in contents
        self.content_at: dict[str, int] = {}  # path → place in contents
        self._texts = array("q")
        self._text_of: dict[bytes, int] = {}
        self._shown = array("q")
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def num_shown(self) -> int:
        """How many images the rows show, each as often as it is shown."""
        return len(self._shown)

    def images(self, row: int) -> Sequence[int]:
        """What a row shows, in reading order, as places in `contents`."""
        return self._shown[self._ends[row] : self._ends[row + 1]]

    def text(self, row: int) -> int:
        """A number for what a row says: the same for rows whose turns have the same texts and as many images."""
        return self._texts[row]

    def rows(self, split: str) -> range:
        """The numbers of the rows of one split."""
        start = 0
        for name, data in self.splits.items():
            if name == split:
                return range(start, start + len(data))
            start += len(data)
        raise KeyError(split)

    def split(self, row: int) -> str:
        """The split of a row."""
        for split, data in self.splits.items():
            if row < len(data):
                return split
            row -= len(data)
        raise IndexError(row)

    def add(self, row: Conversation, images: Sequence[int]) -> None:
        """Take the next row."""
        self.ids.append(row.id)
        self._texts.append(self._text_of.setdefault(_text_key(row), len(self._text_of)))
        self._shown.extend(images)
        self._ends.append(len(self._shown))


def take_inventory(splits: Mapping[str, ConversationData], *, looks: bool, jobs: int) -> Inventory:
    """Read all rows and images, the latter in `jobs` threads; with `looks` they are decoded and hashed by their looks.

    A file that many rows show is read once. Raises DataError for a missing image.
    """
    inventory = Inventory(splits)
    waiting: deque[tuple[Conversation, Future[list[_Seen]] | None]] = deque()
    with progress(sum(map(len, splits.values())), "look") as bar, ThreadPoolExecutor(jobs) as threads:
        for data, number, row in each_row(splits):
            is_known = data.image_root is not None and all(path in inventory.content_at for path in row.images)
            seen = None if is_known else threads.submit(_look, data.image_bytes(number), inventory, looks=looks)
            waiting.append((row, seen))
            if len(waiting) > _ROWS_AHEAD * jobs:
                _take(inventory, *waiting.popleft())
            bar.update()
        while waiting:
            _take(inventory, *waiting.popleft())
    return inventory


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    sha256: bytes
    look: int | None
    problem: str | None


def _look(images: Sequence[bytes], inventory: Inventory, *, looks: bool) -> list[_Seen]:
    return [_seen(image, inventory, looks=looks) for image in images]


def _seen(image: bytes, inventory: Inventory, *, looks: bool) -> _Seen:
    sha256 = hashlib.sha256(image).digest()
    if not looks or sha256 in inventory.content_of:
        return _Seen(sha256=sha256, look=None, problem=None)
    try:
        with strict_pillow():
            return _Seen(sha256=sha256, look=hash_of_bytes(image), problem=None)
    except UnidentifiedImageError:
        return _Seen(sha256=sha256, look=None, problem=f"this file {not_an_image(image[:HEAD_BYTES])}")
    except (*UNDECODABLE, DecompressionBombError) as error:
        return _Seen(sha256=sha256, look=None, problem=printable(str(error).strip()) or type(error).__name__)


def _take(inventory: Inventory, row: Conversation, future: Future[list[_Seen]] | None) -> None:
    if future is None:
        inventory.add(row, [inventory.content_at[path] for path in row.images])
        return
    places = []
    for path, seen in zip(row.images, future.result(), strict=True):
        place = inventory.content_of.setdefault(seen.sha256, len(inventory.contents))
        if place == len(inventory.contents):
            inventory.contents.append(Content(path=path, look=seen.look, problem=seen.problem))
        inventory.content_at.setdefault(path, place)
        places.append(place)
    inventory.add(row, places)


def _text_key(row: Conversation) -> bytes:
    turns = [
        (
            len(turn.images),
            _normal(turn.user),
            _normal(turn.assistant),
            None if turn.answers is None else list(map(_normal, turn.answers)),
        )
        for turn in row.conversations
    ]
    return hashlib.blake2b(msgspec.json.encode(turns), digest_size=16).digest()


def _normal(text: str) -> str:
    """The text in Unicode's composed form, with single spaces for all white space and none at its ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())
