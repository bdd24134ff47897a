"""Keeps images of several data sets apart that are called the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import count

import msgspec

from phidata.records import Conversation


class ImagePaths:
    """Gives each image of the new data set its path: its own, or one below the name of its data set.

    An image whose path stands for other bytes already is called `<data set>/<path>`; the same bytes under the same
    path are one image. Memory: path and hash of each image.
    """

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}
        self.num_renamed = 0

    def place(self, row: Conversation, images: Sequence[bytes], label: str) -> Conversation:
        """The row with the paths under which its images are stored."""
        paths = [self._path(path, data, label) for path, data in zip(row.images, images, strict=True)]
        if paths == list(row.images):
            return row
        rest = iter(paths)
        turns = tuple(
            msgspec.structs.replace(turn, images=tuple(next(rest) for _ in turn.images)) for turn in row.conversations
        )
        return msgspec.structs.replace(row, conversations=turns)

    def _path(self, path: str, data: bytes, label: str) -> str:
        digest = hashlib.sha256(data).digest()
        for candidate in _candidates(path, label):
            known = self._digests.get(candidate)
            if known is None:
                self._digests[candidate] = digest
                self.num_renamed += candidate != path
                return candidate
            if known == digest:
                return candidate
        raise AssertionError  # there is always one more candidate


def _candidates(path: str, label: str) -> Iterator[str]:
    yield path
    yield f"{label}/{path}"
    for number in count(2):
        yield f"{label}/{number}/{path}"
