"""Where the formats of conversations keep what: messages, roles, texts, and what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Literal

from phidata.conversion.converter import Option, Settings
from phidata.errors import DataError
from phidata.storage.annotations import kind_of

Kind = Literal["image", "video"]
Speaker = Literal["user", "assistant", "system"]

OPTIONS = (
    Option(
        name="inline",
        choices=("move", "fail"),
        default="move",
        help="An image with text of its message before and behind it: show it before the text, or fail the row.",
    ),
    Option(
        name="untagged",
        choices=("fail", "first"),
        default="fail",
        help="Images of a row that says nowhere where they are shown: fail it, or show them in the first turn.",
    ),
    Option(
        name="system",
        choices=("metadata", "prepend", "fail"),
        default="metadata",
        help="A system prompt: keep it in metadata, put it before the first question, or fail the row.",
    ),
)

_PROMPT = ("prompt", "completion")
_QUERY = ("query", "response", "history")


@dataclass(frozen=True, kw_only=True)
class ChatLayout:
    """Where a format keeps what. Of several names for one thing the first that a record has counts.

    `tags` stand in a text for what the lists `images` and `videos` hold. `typed` contents are lists of parts, which
    name what they show or stand for the next of the lists; `markers` repeat them in the text. With
    `image_tag_shows_video` a row's `<image>` stands for its video when it has no images. A record may have `prompt` and
    `completion`, or `query`, `response` and `history`, instead of messages where that is said.
    """

    messages: tuple[str, ...] = ("messages",)
    role: tuple[str, ...] = ("role",)
    content: tuple[str, ...] = ("content",)
    user: tuple[str, ...] = ("user",)
    assistant: tuple[str, ...] = ("assistant",)
    system: tuple[str, ...] = ("system",)
    system_column: str | None = "system"
    images: tuple[str, ...] = ("images",)
    videos: tuple[str, ...] = ("videos",)
    tags: Mapping[str, Kind] = field(default_factory=dict)
    markers: Mapping[str, Kind] = field(default_factory=dict)
    typed: bool = False
    prompt_and_completion: bool = False
    query_and_response: bool = False
    image_tag_shows_video: bool = False
    inline: str = "move"
    untagged: str = "fail"
    system_goes: str = "metadata"

    def with_settings(self, settings: Settings) -> ChatLayout:
        """The same, by the values of `OPTIONS`."""
        return replace(self, inline=settings["inline"], untagged=settings["untagged"], system_goes=settings["system"])

    @cached_property
    def columns(self) -> frozenset[str]:
        """The keys of a record that are read."""
        system = () if self.system_column is None else (self.system_column,)
        instead = (*_PROMPT * self.prompt_and_completion, *_QUERY * self.query_and_response)
        return frozenset((*self.messages, *instead, *self.images, *self.videos, *system))

    def messages_of(self, record: Mapping[str, Any]) -> list[Any]:
        """A record's messages, as they stand there. Raises DataError when it has none."""
        column = first_key(self.messages, record)
        if column is None and self.prompt_and_completion and "prompt" in record and "completion" in record:
            return [*_list_at(record, "prompt"), *_list_at(record, "completion")]
        if column is None and self.query_and_response and "query" in record and "response" in record:
            return _history(record)
        if column is None:
            has = ", ".join(map(repr, islice(record, 6)))
            raise DataError(f"it has no {' or '.join(map(repr, self.messages))}, but {has or 'nothing'}")
        return _in_pairs(_list_at(record, column)) if self.query_and_response else _list_at(record, column)

    def speaker(self, role: Any) -> Speaker | None:
        return self._speakers.get(role) if isinstance(role, str) else None

    @cached_property
    def _speakers(self) -> dict[str, Speaker]:
        names: tuple[tuple[Speaker, tuple[str, ...]], ...] = (
            ("system", self.system),
            ("assistant", self.assistant),
            ("user", self.user),
        )
        return {name: speaker for speaker, known in names for name in known}


def first_key(names: tuple[str, ...], holder: Mapping[str, Any]) -> str | None:
    """The first of these names that is a key."""
    for name in names:
        if name in holder:
            return name
    return None


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: null, or empty."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def _list_at(record: Mapping[str, Any], column: str) -> list[Any]:
    found = record[column]
    if not isinstance(found, list) or not found:
        raise DataError(f"{column!r} is {kind_of(found)}, where a list of messages is expected")
    return found


def _history(record: Mapping[str, Any]) -> list[Any]:
    """The messages of a record of questions and answers, the earlier ones first."""
    history = record.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise DataError(f"'history' is {kind_of(history)}, where a list of [query, response] pairs is expected")
    said = [text for pair in (*history, [record["query"], record["response"]]) for text in pair]
    return [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(said)]


def _in_pairs(messages: list[Any]) -> list[Any]:
    """Messages of which some are question and answer in one, as ms-swift allows, in single ones."""
    single: list[Any] = []
    for message in messages:
        pair = message if isinstance(message, dict) else {}
        keys = [key for key in ("human", "user", "assistant", "gpt") if key in pair]
        if len(keys) == len(pair) == 2:
            single += [{"role": key, "content": message[key]} for key in keys]
        else:
            single.append(message)
    return single
