"""One record of a file of conversations, made into turns, and what it has besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from phidata.conversion.converter import Converted, Row
from phidata.conversion.media import Media
from phidata.errors import DataError
from phidata.records import Turn
from phidata.sources.chat import Chat, Exchange, read_chat
from phidata.sources.chat_layout import ChatLayout, is_empty
from phidata.sources.chat_message import Medium
from phidata.storage.annotations import UNREADABLE, kind_of, read_entry

KEPT = "phidata"  # the key under which an export keeps what the format has no place for

_PREFERENCE = ("chosen", "rejected", "rejected_response", "rejected_messages", "rejected_images", "kto_tag")
_BEYOND = ("tools", "functions", "audios", "audio", "objects")
_SUSPECT = frozenset((*_PREFERENCE, *_BEYOND, "label"))


@dataclass(frozen=True, kw_only=True)
class ChatRow(Row):
    """A record of a file by its place there, so that a listing does not hold the file, and the layout it has."""

    offset: int
    num_bytes: int
    layout: ChatLayout


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a row of phidata has besides its conversation; `answers` has an entry for each turn."""

    source: str
    answers: list[list[str] | None] | None = None
    metadata: dict[str, Any] | None = None

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()


_decode_kept = msgspec.json.Decoder(Kept).decode


def convert_chat(row: ChatRow, media: Media) -> Converted:
    """The turns of a record: each image in the turn where it is shown, and in metadata all that has no other place."""
    record = _decoded(media.read(row.file, row.offset, row.num_bytes))
    check_supported(record)
    chat = read_chat(record, row.layout)
    kept = _kept(record, len(chat.exchanges))
    answers = kept.answers or [None] * len(chat.exchanges)
    turns = [_turn(exchange, known, media) for exchange, known in zip(chat.exchanges, answers, strict=True)]
    return Converted(turns=turns, metadata=_metadata(record, row.layout, chat, kept), source=kept.source or None)


def check_supported(record: Mapping[str, Any]) -> None:
    """Raise DataError for a record with preference data, tools, audio or regions of images."""
    if _SUSPECT.isdisjoint(record):
        return
    for key in _PREFERENCE:
        if not is_empty(record.get(key)):
            raise DataError(f"it is preference data ({key!r}), which a conversation can not hold")
    if isinstance(record.get("label"), bool):
        raise DataError("it is preference data ('label' is true or false), which a conversation can not hold")
    for key in _BEYOND:
        if not is_empty(record.get(key)):
            raise DataError(f"it has {key!r}, which a conversation can not hold")


def _decoded(data: bytes) -> dict[str, Any]:
    entry = read_entry(1, data)
    if entry.problem is not None:
        raise DataError(entry.problem)
    return entry.value


def _kept(record: Mapping[str, Any], num_turns: int) -> Kept:
    text = record.get(KEPT)
    if not isinstance(text, str):
        return Kept(source="", metadata=None if text is None else {KEPT: text})
    try:
        kept = _decode_kept(text)
    except UNREADABLE as error:
        raise DataError(f"its {KEPT!r} is not what an export writes ({error})") from error
    if kept.answers is not None and len(kept.answers) != num_turns:
        raise DataError(f"its {KEPT!r} has answers for {len(kept.answers)} turns, and it has {num_turns}")
    return kept


def _metadata(record: Mapping[str, Any], layout: ChatLayout, chat: Chat, kept: Kept) -> dict[str, Any] | None:
    used = layout.columns | {"id", KEPT}
    metadata: dict[str, Any] = {} if chat.system is None else {"system": chat.system}
    metadata |= kept.metadata or {}
    metadata |= {key: value for key, value in record.items() if key not in used and not is_empty(value)}
    if chat.extras:
        metadata["messages"] = list(chat.extras)
    return metadata if metadata or kept.metadata is not None else None


def _turn(exchange: Exchange, answers: list[str] | None, media: Media) -> Turn:
    images = tuple(path for medium in exchange.media for path in _shown(medium, media))
    return Turn(
        images=images,
        user=exchange.user,
        assistant=exchange.assistant,
        answers=None if answers is None else tuple(answers),
    )


def _shown(medium: Medium, media: Media) -> tuple[str, ...]:
    """The images that a medium becomes: one, or the frames of a video, which may lie there as images already."""
    if isinstance(medium.file, list) and medium.kind == "video":
        return tuple(media.image(_path(frame, "frame")) for frame in medium.file)
    file = _path(medium.file, medium.kind)
    if medium.kind == "image":
        return (media.image(file),)
    if file.endswith("/"):
        raise DataError(f"its video {file!r} is a folder of frames; list them as images")
    return media.frames(file)


def _path(file: Any, kind: str) -> str:
    if isinstance(file, dict):
        file = next((file[key] for key in ("path", "url") if not is_empty(file.get(key))), file)
    if not isinstance(file, str) or not file:
        raise DataError(f"in place of the path of its {kind} stands {kind_of(file)}")
    return file.removeprefix("file://")
