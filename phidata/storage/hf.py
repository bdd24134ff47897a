"""Conversations as a `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from phidata.errors import UsageError
from phidata.records import Conversation
from phidata.storage.folder import image_file
from phidata.storage.rows import RowStore

if TYPE_CHECKING:
    import datasets


def to_dataset(store: RowStore, rows: range, *, decode_images: bool) -> datasets.Dataset:
    """Write the rows to the library's cache and open them from there, one row in memory at a time.

    With `decode_images` the images become `Image` features, which decode the file, or the bytes of the shard; without,
    plain strings. The optional columns `answers` and `metadata` (as JSON text) exist when any row has them.
    """
    import datasets

    turns = {"user": datasets.Value("string"), "assistant": datasets.Value("string")}
    turns["images"] = datasets.List(datasets.Image() if decode_images else datasets.Value("string"))
    if any(turn.answers is not None for row in store.rows(rows) for turn in row.conversations):
        turns["answers"] = datasets.List(datasets.Value("string"))
    columns = {
        "id": datasets.Value("string"),
        "source": datasets.Value("string"),
        "conversations": datasets.List(turns),
    }
    if any(row.metadata is not None for row in store.rows(rows)):
        columns["metadata"] = datasets.Value("string")

    features = datasets.Features(columns)
    if not rows:  # which from_generator refuses
        return datasets.Dataset.from_dict({name: [] for name in columns}, features=features)

    def generate(content: tuple[RowStore, range], state: str) -> Iterator[dict[str, Any]]:  # noqa: ARG001 - a cache key
        store, rows = content
        for number, row in zip(rows, store.rows(rows), strict=True):
            images = _images(store, number, row) if decode_images else list(row.images)
            yield _columns(row, images, tuple(columns), tuple(turns))

    # One tuple: what is a list here would be divided among processes.
    arguments = {"content": (store, rows), "state": _state(store)}
    return datasets.Dataset.from_generator(generate, features=features, gen_kwargs=arguments)


def _images(store: RowStore, number: int, row: Conversation) -> list[Any]:
    if store.image_root is not None:
        return [str(image_file(store.image_root, path)) for path in row.images]
    encoded = store.images(number, len(row.images))
    return [{"bytes": data, "path": path} for data, path in zip(encoded, row.images, strict=True)]


def _columns(
    row: Conversation, images: list[Any], columns: tuple[str, ...], turn_columns: tuple[str, ...]
) -> dict[str, Any]:
    turns: list[dict[str, Any]] = []
    begin = 0
    for turn in row.conversations:
        end = begin + len(turn.images)
        values: dict[str, Any] = {"user": turn.user, "assistant": turn.assistant, "images": images[begin:end]}
        if "answers" in turn_columns:
            values["answers"] = None if turn.answers is None else list(turn.answers)
        turns.append(values)
        begin = end
    found: dict[str, Any] = {"id": row.id, "source": row.source, "conversations": turns}
    if "metadata" in columns:
        found["metadata"] = None if row.metadata is None else msgspec.json.encode(row.metadata).decode()
    return found


def _state(store: RowStore) -> str:
    """What tells one content of the same files from another, so that the cache is never stale."""
    try:
        stats = [file.stat() for file in store.files]
    except FileNotFoundError as error:
        raise UsageError(f"{error.filename} is not here; copy its folder here to open it with datasets") from error
    return " ".join(f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}" for stat in stats)
