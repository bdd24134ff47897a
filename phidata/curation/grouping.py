"""Which rows belong together, so that a division never puts them on both sides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from phidata.errors import DataError, UsageError
from phidata.loading import ConversationData
from phidata.records import Conversation

Keys = Callable[[ConversationData, int, Conversation], Sequence[str]]

_CHOICES = "image, source, id, id:REGEX, path:REGEX or metadata.KEY"


def keys_by(grouping: str) -> Keys:
    """The function that gives the keys of a row: rows that share one belong together.

    `image`: the bytes of its images. `source`. `id`: every row by itself. `id:REGEX` and `path:REGEX`: what the regular
    expression captures (its groups, or all that it matches) in the id, or in each image path. `metadata.KEY`, with dots
    into objects. A row without images has no keys by `image` and `path`. Raises UsageError for anything else; the
    function raises DataError for a row that can not be grouped so.
    """
    kind, colon, pattern = grouping.partition(":")
    if grouping == "image":
        return _ImageKeys()
    if grouping == "source":
        return lambda _data, _number, row: (row.source,)
    if grouping == "id":
        return lambda _data, _number, row: (row.id,)
    if colon and kind in ("id", "path"):
        return _PatternKeys(kind, _compiled(pattern))
    if grouping.startswith("metadata.") and all(names := grouping.split(".")[1:]):
        return _MetadataKeys(names)
    raise UsageError(f"no grouping {grouping!r}; group by {_CHOICES}")


class Groups:
    """Rows, numbered in the order in which they are added, joined whenever two of them share a key."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._row_of: dict[str, int] = {}  # key → a row that has it

    def add(self, keys: Sequence[str]) -> None:
        """Take the next row. Every row needs at least one key."""
        row = len(self._parents)
        self._parents.append(row)
        for key in keys:
            known = self._root(self._row_of.setdefault(key, row))
            self._parents[self._root(row)] = known

    def finish(self) -> tuple[list[int], list[str]]:
        """The number of each row's group, and the key of each group: the smallest of its rows' keys.

        The key does not depend on the order of the rows, and stays what it is when rows with the same keys are added.
        """
        smallest: dict[int, str] = {}
        for key, row in self._row_of.items():
            root = self._root(row)
            smallest[root] = min(key, smallest.get(root, key))
        numbers = {root: number for number, root in enumerate(smallest)}
        return [numbers[self._root(row)] for row in range(len(self._parents))], list(smallest.values())

    def _root(self, row: int) -> int:
        parents = self._parents
        while parents[row] != row:
            parents[row] = row = parents[parents[row]]
        return row


class _ImageKeys:
    """The sha256 of each image; a file that many rows show is read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}  # path → sha256, where images are files of one folder

    def __call__(self, data: ConversationData, number: int, row: Conversation) -> list[str]:
        if data.image_root is not None and all(path in self._known for path in row.images):
            return [self._known[path] for path in row.images]
        digests = [hashlib.sha256(image).hexdigest() for image in data.image_bytes(number)]
        if data.image_root is not None:
            self._known.update(zip(row.images, digests, strict=True))
        return digests


class _PatternKeys:
    def __init__(self, kind: str, pattern: re.Pattern[str]) -> None:
        self._kind, self._pattern = kind, pattern

    def __call__(self, data: ConversationData, number: int, row: Conversation) -> list[str]:
        texts = (row.id,) if self._kind == "id" else row.images
        return [self._captured(text, data, number) for text in texts]

    def _captured(self, text: str, data: ConversationData, number: int) -> str:
        match = self._pattern.search(text)
        if match is None:
            what = "the id" if self._kind == "id" else f"the image path {text!r}"
            raise DataError(
                f"{data.where(number)}: {what} does not match {self._pattern.pattern}; "
                "give --by an expression that every row matches"
            )
        return "\0".join(group or "" for group in match.groups()) if self._pattern.groups else match[0]


class _MetadataKeys:
    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def __call__(self, data: ConversationData, number: int, row: Conversation) -> list[str]:
        value: Any = row.metadata
        for name in self._names:
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            raise DataError(
                f"{data.where(number)}: it has no metadata.{'.'.join(self._names)}; group by something every row has"
            )
        return [msgspec.json.encode(value, order="deterministic").decode()]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern} is not a regular expression ({error}); correct --by") from error
