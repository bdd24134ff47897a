"""Conversations as a `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from phidata.records import Conversation, Turn

if TYPE_CHECKING:
    import datasets

ImagePath = Callable[[str], Path]


def to_dataset(rows: Sequence[Conversation], image_path: ImagePath | None) -> datasets.Dataset:
    """Write the rows to the library's cache and open them from there, one row in memory at a time.

    With `image_path` the images become `Image` features that decode the file it names; without, plain strings. The
    optional columns `answers` and `metadata` (as JSON text) exist when any row has them.
    """
    import datasets

    turns = {"user": datasets.Value("string"), "assistant": datasets.Value("string")}
    turns["images"] = datasets.List(datasets.Image() if image_path else datasets.Value("string"))
    if any(turn.answers is not None for row in rows for turn in row.conversations):
        turns["answers"] = datasets.List(datasets.Value("string"))
    columns = {
        "id": datasets.Value("string"),
        "source": datasets.Value("string"),
        "conversations": datasets.List(turns),
    }
    if any(row.metadata is not None for row in rows):
        columns["metadata"] = datasets.Value("string")

    def generate(content: Sequence[Conversation], state: str) -> Iterator[dict[str, Any]]:  # noqa: ARG001 - a cache key
        return (_columns(row, tuple(columns), tuple(turns), image_path) for row in content)

    return datasets.Dataset.from_generator(
        generate, features=datasets.Features(columns), gen_kwargs={"content": rows, "state": _state(rows)}
    )


def _columns(
    row: Conversation, columns: tuple[str, ...], turns: tuple[str, ...], image_path: ImagePath | None
) -> dict[str, Any]:
    values: dict[str, Any] = {"id": row.id, "source": row.source}
    values["conversations"] = [_turn(turn, turns, image_path) for turn in row.conversations]
    if "metadata" in columns:
        values["metadata"] = None if row.metadata is None else msgspec.json.encode(row.metadata).decode()
    return values


def _turn(turn: Turn, columns: tuple[str, ...], image_path: ImagePath | None) -> dict[str, Any]:
    images = [str(image_path(image)) if image_path else image for image in turn.images]
    values: dict[str, Any] = {"user": turn.user, "assistant": turn.assistant, "images": images}
    if "answers" in columns:
        values["answers"] = None if turn.answers is None else list(turn.answers)
    return values


def _state(rows: Sequence[Conversation]) -> str:
    """What tells one content of the same file from another, so that the cache is never stale."""
    path = getattr(rows, "path", None)
    if path is None:
        return ""
    stat = Path(path).stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}"
