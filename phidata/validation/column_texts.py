"""Some rows of a shard with columns: which of them are clean, told by whole columns, and any of them as its line.

What is told clean here is clean as a line (accept.py); a property test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from phidata.validation.accept import accept

# Wider than the rules: what matches is looked at again as a line. RE2 has no look-ahead.
SUSPECT_TEXT = r"<(?:\||s>|/s>|unk>)|[\x00-\x08\x0b\x0c\x0e-\x1f]"
SUSPECT_PATH = r"^$|^/|//|/$|(?:^|/)\.\.?(?:/|$)|[\x00-\x1f\\]|^[A-Za-z][A-Za-z0-9+.\-]*:"

_METADATA = (
    b'{"id":"a","source":"s","conversations":[{"images":[],"user":"u","assistant":"x"}],"metadata":',
    b"}",
)

Mask = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


class ColumnTexts:
    """The texts of consecutive record batches, without the bytes of their images."""

    def __init__(self, batches: Sequence[pa.RecordBatch]) -> None:
        self._id, self._source = (_joined(batches, name) for name in ("id", "source"))
        self._metadata = _joined(batches, "metadata") if "metadata" in batches[0].schema.names else None
        turns = [batch.column("conversations") for batch in batches]
        self._rows_null = as_mask(pa.concat_arrays([column.is_null() for column in turns]))
        self._turns_of_row = np.concatenate([list_lengths(column) for column in turns])
        flat = [column.flatten() for column in turns]
        self._turns_null = as_mask(pa.concat_arrays([column.is_null() for column in flat]))
        self._user, self._assistant = (_concat([column.field(key) for column in flat]) for key in ("user", "assistant"))
        images = [column.field("images") for column in flat]
        self._images_null = as_mask(pa.concat_arrays([column.is_null() for column in images]))
        self._images_of_turn = np.concatenate([list_lengths(column) for column in images])
        self._path = _concat([column.flatten().field("path") for column in images])
        # Without the column every turn is one without accepted answers.
        answers = [_answers(column) for column in flat]
        self._answers_null = as_mask(pa.concat_arrays([column.is_null() for column in answers]))
        self._answers_of_turn = np.concatenate([list_lengths(column) for column in answers])
        self._answer = _concat([column.flatten() for column in answers])

    def __len__(self) -> int:
        return len(self._id)

    @property
    def num_turns(self) -> Counts:
        """Of each row."""
        return self._turns_of_row

    @property
    def num_images(self) -> Counts:
        """Of each row."""
        totals = np.zeros(len(self), np.int64)
        np.add.at(totals, np.repeat(np.arange(len(self)), self._turns_of_row), self._images_of_turn)
        return totals

    def ids(self) -> list[str | None]:
        """Of each row; None where there is none."""
        return _pylist(self._id)

    def suspects(self) -> Mask:
        """Which rows are perhaps not clean. All of them, where a text is not UTF-8."""
        try:
            for column in (self._id, self._source, self._user, self._assistant, self._path, self._answer):
                column.validate(full=True)
        except pa.ArrowInvalid:
            return np.ones(len(self), np.bool_)
        of_turn = self._turns_null | self._images_null | _bad_texts(self._user) | _bad_texts(self._assistant)
        of_turn |= any_within(_matches(self._path, SUSPECT_PATH), self._images_of_turn)
        of_turn |= any_within(_empty(self._answer), self._answers_of_turn)
        of_turn |= ~self._answers_null & (self._answers_of_turn == 0)
        of_row: Mask = _empty(self._id) | _empty(self._source) | self._rows_null | (self._turns_of_row == 0)
        return of_row | any_within(of_turn, self._turns_of_row) | self._bad_metadata()

    def lines(self, rows: Sequence[int]) -> list[bytes]:
        """Some of the rows, each as the line of a jsonl file that it would be; what is null there is null here."""
        return [self._line(row) for row in rows]

    def _bad_metadata(self) -> Mask:
        bad = np.zeros(len(self), np.bool_)
        if self._metadata is not None and self._metadata.null_count < len(self):
            texts = _pylist(self._metadata)
            places = [place for place, text in enumerate(texts) if text is not None]
            before, after = _METADATA
            lines = [before + (texts[place] or "").encode("utf-8", "surrogateescape") + after for place in places]
            for start in range(0, len(lines), 64):
                if accept(lines[start : start + 64]) is None:
                    for place, line in zip(places[start : start + 64], lines[start : start + 64], strict=True):
                        bad[place] = accept([line]) is None
        return bad

    @cached_property
    def _lists(self) -> _Lists:
        return _Lists(
            ids=_pylist(self._id),
            sources=_pylist(self._source),
            metadata=_pylist(self._metadata) if self._metadata is not None else [None] * len(self),
            users=_pylist(self._user),
            assistants=_pylist(self._assistant),
            paths=_pylist(self._path),
            answers=_pylist(self._answer),
            turn_ends=[0, *accumulate(self._turns_of_row.tolist())],
            image_ends=[0, *accumulate(self._images_of_turn.tolist())],
            answer_ends=[0, *accumulate(self._answers_of_turn.tolist())],
        )

    def _line(self, row: int) -> bytes:
        lists = self._lists
        turns = range(*lists.turn_ends[row : row + 2])
        value: dict[str, Any] = {
            "id": lists.ids[row],
            "source": lists.sources[row],
            "conversations": None if self._rows_null[row] else [self._turn(turn) for turn in turns],
        }
        text = lists.metadata[row]
        tail = b"" if text is None else b',"metadata":' + _as_json(text)
        return _encoded(value)[:-1] + tail + b"}"

    def _turn(self, turn: int) -> dict[str, Any] | None:
        lists = self._lists
        if self._turns_null[turn]:
            return None
        begin, end = lists.image_ends[turn : turn + 2]
        value: dict[str, Any] = {
            "images": None if self._images_null[turn] else lists.paths[begin:end],
            "user": lists.users[turn],
            "assistant": lists.assistants[turn],
        }
        if not self._answers_null[turn]:
            begin, end = lists.answer_ends[turn : turn + 2]
            value["answers"] = lists.answers[begin:end]
        return value


class _Lists(msgspec.Struct):
    """The columns as Python values; `…_ends` say where the entries of each list end."""

    ids: list[str | None]
    sources: list[str | None]
    metadata: list[str | None]
    users: list[str | None]
    assistants: list[str | None]
    paths: list[str | None]
    answers: list[str | None]
    turn_ends: list[int]
    image_ends: list[int]
    answer_ends: list[int]


def _answers(turns: pa.StructArray) -> pa.Array:
    if turns.type.get_field_index("answers") >= 0:
        return turns.field("answers")
    return pa.nulls(len(turns), pa.list_(pa.string()))


def _joined(batches: Sequence[pa.RecordBatch], name: str) -> pa.Array:
    return _concat([batch.column(name) for batch in batches])


def _concat(arrays: Sequence[pa.Array]) -> pa.Array:
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def list_lengths(lists: pa.Array) -> Counts:
    counts: Counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    return counts


def as_mask(column: pa.Array) -> Mask:
    mask: Mask = column.to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask


def _empty(texts: pa.Array) -> Mask:
    return as_mask(pc.equal(pc.binary_length(texts), 0).fill_null(True))


def _bad_texts(texts: pa.Array) -> Mask:
    return _empty(texts) | as_mask(pc.utf8_is_space(texts).fill_null(True)) | _matches(texts, SUSPECT_TEXT)


def _matches(texts: pa.Array, pattern: str) -> Mask:
    return as_mask(pc.match_substring_regex(texts, pattern).fill_null(True))


def any_within(entries: Mask, counts: Counts) -> Mask:
    """For each list whether any of its entries is true."""
    owners = np.repeat(np.arange(len(counts)), counts)
    found = np.zeros(len(counts), np.bool_)
    found[owners[entries]] = True
    return found


def _pylist(texts: pa.Array) -> list[str | None]:
    try:
        values: list[str | None] = texts.to_pylist()
    except UnicodeDecodeError:
        raw = texts.cast(pa.large_binary() if pa.types.is_large_string(texts.type) else pa.binary()).to_pylist()
        return [None if text is None else text.decode("utf-8", "surrogateescape") for text in raw]
    return values


def _as_json(text: str) -> bytes:
    """The text of metadata as it stands in a line: itself where it is JSON, else a string that holds it."""
    data = text.encode("utf-8", "surrogateescape")
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _encoded(text)
    except RecursionError:
        pass  # nested too deep, which is a finding of the line
    return data.replace(b"\n", b" ").strip()


def _encoded(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")
