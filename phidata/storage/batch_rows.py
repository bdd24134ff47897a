"""Single rows out of a record batch, straight from its buffers: through Arrow every value costs several objects."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa

from phidata.records import Conversation, Turn
from phidata.storage.annotations import UNREADABLE

_NO_LIST = "a row has no conversations, or a turn has no images, not even an empty list"

_LARGE = (pa.LargeListArray, pa.LargeStringArray, pa.LargeBinaryArray)  # with offsets of 64 bits

_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode


class BatchRows:
    """The rows of one batch, which has the columns of conversations and has been validated.

    The bytes of images are not looked at, and need not be there.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        rows = batch.column("conversations")
        turns = rows.values
        images = turns.field("images")
        self._ids, self._sources = _Values(batch.column("id")), _Values(batch.column("source"))
        self._turns, self._images = _Lists(rows), _Lists(images)
        self._paths = _Values(images.values.field("path"))
        self._users, self._assistants = _Values(turns.field("user")), _Values(turns.field("assistant"))
        self._answers = None
        if turns.type.get_field_index("answers") >= 0 and turns.field("answers").null_count < len(turns):
            answers = turns.field("answers")
            self._answers, self._answer_texts = _Lists(answers), _Values(answers.values)
        self._metadata = None
        if "metadata" in batch.schema.names and batch.column("metadata").null_count < len(batch):
            self._metadata = _Values(batch.column("metadata"))

    @property
    def nbytes(self) -> int:
        """How much memory the batch takes."""
        return int(self._batch.nbytes)

    def row(self, place: int) -> Conversation:
        """One row. Raises ValueError, which says what, when it is no conversation."""
        row_id, source, turns = self._ids.text(place), self._sources.text(place), self._turns.entries(place)
        if row_id is None or source is None:
            raise ValueError("the row has no id or no source")
        if turns is None:
            raise ValueError(_NO_LIST)
        own = tuple([self._turn(number) for number in turns])
        metadata = None if self._metadata is None else self._metadata.text(place)
        return Conversation(
            id=row_id, source=source, conversations=own, metadata=None if metadata is None else _object(metadata)
        )

    def _turn(self, number: int) -> Turn:
        entries = self._images.entries(number)
        if entries is None:
            raise ValueError(_NO_LIST)
        images = _whole([self._paths.text(entry) for entry in entries])
        user, assistant = self._users.text(number), self._assistants.text(number)
        if user is None or assistant is None or images is None:
            raise ValueError("a turn has no user, no assistant, or an image without a path")
        return Turn(images=images, user=user, assistant=assistant, answers=self._answers_of(number))

    def _answers_of(self, turn: int) -> tuple[str, ...] | None:
        entries = None if self._answers is None else self._answers.entries(turn)
        if entries is None:
            return None
        answers = _whole([self._answer_texts.text(entry) for entry in entries])
        if answers is None:
            raise ValueError("one of the answers of a turn is null")
        return answers


class BatchImages:
    """The images of the rows of one batch, which may lack all other columns."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        rows = batch.column("conversations")
        images = rows.values.field("images")
        self._turns, self._images = _Lists(rows), _Lists(images)
        self._encoded = _Values(images.values.field("bytes"))

    @property
    def nbytes(self) -> int:
        """How much memory the batch takes."""
        return int(self._batch.nbytes)

    def of(self, place: int) -> list[memoryview | None]:
        """The images of a row in reading order, as they lie in the batch; None for one that is not there."""
        return [
            self._encoded.data(image)
            for turn in self._turns.entries(place) or ()
            for image in self._images.entries(turn) or ()
        ]


class _Column:
    """Where the values of a column begin and end, and which of them are null."""

    __slots__ = ("_bounds", "_shift", "_validity")

    def __init__(self, array: pa.Array) -> None:
        validity, bounds = array.buffers()[:2]
        ends = memoryview(b"" if bounds is None else bounds)  # of no values there need not be any
        self._bounds = (ends.cast("q") if isinstance(array, _LARGE) else ends.cast("i"))[array.offset :]
        self._validity = memoryview(validity) if array.null_count else None
        self._shift = array.offset

    def _is_null(self, number: int) -> bool:
        bit = number + self._shift
        return self._validity is not None and not self._validity[bit >> 3] >> (bit & 7) & 1


class _Lists(_Column):
    """A column of lists."""

    __slots__ = ()

    def entries(self, number: int) -> range | None:
        """The numbers of a list's entries among those of all lists."""
        if self._validity is not None and self._is_null(number):
            return None
        return range(self._bounds[number], self._bounds[number + 1])


class _Values(_Column):
    """A column of strings or bytes."""

    __slots__ = ("_content",)

    def __init__(self, array: pa.Array) -> None:
        super().__init__(array)
        content = array.buffers()[2]
        self._content = memoryview(b"" if content is None else content)

    def data(self, number: int) -> memoryview | None:
        if self._validity is not None and self._is_null(number):
            return None
        return self._content[self._bounds[number] : self._bounds[number + 1]]

    def text(self, number: int) -> str | None:
        if self._validity is not None and self._is_null(number):
            return None
        return str(self._content[self._bounds[number] : self._bounds[number + 1]], "utf-8")


def _whole(texts: list[str | None]) -> tuple[str, ...] | None:
    """All of the texts; None when one is null."""
    found = tuple([text for text in texts if text is not None])
    return found if len(found) == len(texts) else None


def _object(text: str) -> dict[str, Any]:
    try:
        return _decode_metadata(text)
    except UNREADABLE as error:
        raise ValueError(f"its metadata is not the text of a JSON object ({error})") from error
