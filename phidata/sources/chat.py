"""Conversations as lists of messages, in the layouts that trainers read: from a record to what is said and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from phidata.errors import DataError
from phidata.sources.chat_layout import ChatLayout, Kind, first_key, is_empty
from phidata.sources.chat_message import Medium, Message, count_of, read_message
from phidata.storage.annotations import kind_of


class Exchange(NamedTuple):
    """What the user says and is shown, and the answer."""

    user: str
    media: list[Medium]
    assistant: str


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A conversation: its system prompt, if any, its exchanges, and what its messages have besides (empty objects for
    those that have nothing)."""

    system: str | None
    exchanges: Sequence[Exchange]
    extras: Sequence[dict[str, Any]]


def read_chat(record: Mapping[str, Any], layout: ChatLayout) -> Chat:
    """Read a record. Raises DataError for what is not question and answer in turn, each with a text, and each image and
    video of the lists shown exactly once."""
    raw = layout.messages_of(record)
    messages = [read_message(number, message, layout) for number, message in enumerate(raw, start=1)]
    system = _system_column(record, layout)
    extras = [message.extra for message in messages]
    if messages[0].speaker == "system":
        first = messages.pop(0)
        if system is not None and first.text != system:
            raise DataError(f"it has two system prompts, in {layout.system_column!r} and as its first message")
        system = first.text
    system = system if system and not system.isspace() else None
    if system is not None and layout.system_goes == "fail":
        raise DataError("it has a system prompt (--system fail)")
    _check_order(messages)
    _fill_in(messages, record, layout)
    exchanges = [
        Exchange(user.text, user.media, assistant.text)
        for user, assistant in zip(messages[0::2], messages[1::2], strict=True)
    ]
    if system is not None and layout.system_goes == "prepend":
        exchanges[0] = exchanges[0]._replace(user=f"{system}\n\n{exchanges[0].user}")
        system = None
    return Chat(system=system, exchanges=exchanges, extras=extras if any(extras) else [])


def _system_column(record: Mapping[str, Any], layout: ChatLayout) -> str | None:
    system = None if layout.system_column is None else record.get(layout.system_column)
    if is_empty(system):
        return None
    if not isinstance(system, str):
        raise DataError(f"{layout.system_column!r} is {kind_of(system)}, where text is expected")
    return system


def _check_order(messages: Sequence[Message]) -> None:
    for place, message in enumerate(messages):
        wanted = "assistant" if place % 2 else "user"
        if message.speaker == "system":
            raise DataError(f"message {message.number} is a system prompt; only the first message can be one")
        if message.speaker != wanted:
            raise DataError(f"message {message.number} is from the {message.speaker}, where the {wanted} is expected")
    if not messages:
        raise DataError("it has no messages besides its system prompt")
    if len(messages) % 2:
        raise DataError(f"it ends with message {messages[-1].number}, from the user, without an answer")


def _fill_in(messages: Sequence[Message], record: Mapping[str, Any], layout: ChatLayout) -> None:
    """Give each medium without a file the next of the record's list; every one of a list is shown once."""
    listed: dict[Kind, list[Any]] = {"image": _listed(record, layout.images), "video": _listed(record, layout.videos)}
    if not any(listed.values()) and not any(message.media for message in messages):
        return
    if layout.image_tag_shows_video and listed["video"] and not listed["image"]:
        _rename_tags(messages)
    for kind, files in listed.items():
        if layout.untagged == "first" and not any(m.kind == kind for message in messages for m in message.media):
            messages[0].media.extend(Medium(kind) for _ in files)
        places = [
            (message.media, place)
            for message in messages
            for place, medium in enumerate(message.media)
            if medium.kind == kind and medium.file is None
        ]
        if len(places) != len(files):
            tag = next((f"{tag} tag" for tag, shown in layout.tags.items() if shown == kind), f"{kind} part")
            raise DataError(
                f"it lists {count_of(len(files), kind)} and has {count_of(len(places), tag)}; each needs its own"
            )
        for number, ((media, place), file) in enumerate(zip(places, files, strict=True)):
            if media[place].place not in (None, number):
                raise DataError(f"{kind} {media[place].place} is shown where {number} is expected; sort the list")
            media[place] = Medium(kind, file)


def _rename_tags(messages: Sequence[Message]) -> None:
    for message in messages:
        message.media[:] = [medium._replace(kind="video") for medium in message.media]


def _listed(record: Mapping[str, Any], columns: tuple[str, ...]) -> list[Any]:
    column = first_key(columns, record)
    files = record[column] if column else None
    if is_empty(files):
        return []
    return list(files) if isinstance(files, list) else [files]
