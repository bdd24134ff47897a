"""A conversation out of columns, whatever holds them: the lists, strings and bytes that its rows are made of."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard

import msgspec
import pyarrow as pa

from phidata.records import Conversation, Turn
from phidata.storage.annotations import UNREADABLE

COLUMNS = ("id", "source", "turns", "images", "path", "bytes", "user", "assistant", "answers", "answer", "metadata")
ID, SOURCE, TURNS, IMAGES, PATH, BYTES, USER, ASSISTANT, ANSWERS, ANSWER, METADATA = range(len(COLUMNS))

_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


class Columns(Protocol):
    """The columns of some rows. What is null, or stands in a column that is not there, is None.

    Raises ValueError, which says what, for what can not be read.
    """

    def text(self, column: int, number: int) -> str | None:
        """One of a column of strings."""

    def content(self, column: int, number: int) -> memoryview | None:
        """One of a column of bytes."""

    def entries(self, column: int, number: int) -> range | None:
        """The numbers of the entries of one of a column of lists, among the entries of all of them."""


def arrays(batch: pa.RecordBatch) -> list[pa.Array | None]:
    """The columns of a batch in the order of COLUMNS; None for those that it lacks."""
    turns = batch.column("conversations").values
    images = turns.field("images")
    answers = _field(turns, "answers")
    return [
        batch.column("id") if "id" in batch.schema.names else None,
        batch.column("source") if "source" in batch.schema.names else None,
        batch.column("conversations"),
        images,
        _field(images.values, "path"),
        _field(images.values, "bytes"),
        _field(turns, "user"),
        _field(turns, "assistant"),
        answers,
        None if answers is None else answers.values,
        batch.column("metadata") if "metadata" in batch.schema.names else None,
    ]


def conversation(columns: Columns, place: int) -> Conversation:
    """The row at a place, without the bytes of its images. Raises ValueError when it is no conversation."""
    row_id, source, turns = columns.text(ID, place), columns.text(SOURCE, place), columns.entries(TURNS, place)
    if row_id is None or source is None:
        raise ValueError("the row has no id or no source")
    if turns is None:
        raise ValueError("a row has no conversations, or a turn has no images, not even an empty list")
    own = tuple([_turn(columns, number) for number in turns])
    metadata = columns.text(METADATA, place)
    return Conversation(
        id=row_id, source=source, conversations=own, metadata=None if metadata is None else _object(metadata)
    )


def encoded_images(columns: Columns, place: int) -> list[memoryview | None]:
    """The images of the row at a place in reading order, as they are stored."""
    return [
        columns.content(BYTES, image)
        for turn in columns.entries(TURNS, place) or ()
        for image in columns.entries(IMAGES, turn) or ()
    ]


def _turn(columns: Columns, number: int) -> Turn:
    entries = columns.entries(IMAGES, number)
    if entries is None:
        raise ValueError("a row has no conversations, or a turn has no images, not even an empty list")
    images = [columns.text(PATH, entry) for entry in entries]
    user, assistant = columns.text(USER, number), columns.text(ASSISTANT, number)
    if user is None or assistant is None or not _is_whole(images):
        raise ValueError("a turn has no user, no assistant, or an image without a path")
    return Turn(images=tuple(images), user=user, assistant=assistant, answers=_answers(columns, number))


def _answers(columns: Columns, turn: int) -> tuple[str, ...] | None:
    entries = columns.entries(ANSWERS, turn)
    if entries is None:
        return None
    answers = [columns.text(ANSWER, entry) for entry in entries]
    if not _is_whole(answers):
        raise ValueError("one of the answers of a turn is null")
    return tuple(answers)


def _is_whole(texts: list[str | None]) -> TypeGuard[list[str]]:
    return None not in texts


def _object(text: str) -> dict[str, Any]:
    try:
        return _decode_metadata(text)
    except UNREADABLE as error:
        raise ValueError(f"its metadata is not the text of a JSON object ({error})") from error


def _field(array: pa.StructArray, name: str) -> pa.Array | None:
    return array.field(name) if array.type.get_field_index(name) >= 0 else None
