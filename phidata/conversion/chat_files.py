"""Files of conversations: their records as rows, and a row as turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Any

import msgspec

from phidata.conversion.chat import Chat, Exchange, read_chat
from phidata.conversion.chat_layout import ChatLayout, first_key, is_empty
from phidata.conversion.chat_message import Medium
from phidata.conversion.converter import Converted, Row, Skip
from phidata.conversion.files import split_of
from phidata.conversion.media import Media
from phidata.errors import DataError, UsageError
from phidata.records import Turn
from phidata.storage.annotations import Record, json_objects, json_records, kind_of
from phidata.storage.source import Root

KEPT = "phidata"  # the key under which an export keeps what the format has no place for
SUFFIXES = (".json", ".jsonl", ".ndjson")

Misfit = Callable[[Mapping[str, Any], ChatLayout], "str | None"]

_PREFERENCE = ("chosen", "rejected", "rejected_response", "rejected_messages", "rejected_images", "kto_tag")
_BEYOND = ("tools", "functions", "audios", "audio", "objects")


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a row of phidata has besides its conversation; `answers` has an entry for each turn."""

    source: str
    answers: list[list[str] | None] | None = None
    metadata: dict[str, Any] | None = None

    def to_json(self) -> str:
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True, kw_only=True)
class ChatRow(Row):
    """A record of a file, undecoded, and the layout it has."""

    data: bytes
    layout: ChatLayout


@dataclass(frozen=True, kw_only=True)
class ChatFile:
    """A file below the source folder that may hold conversations."""

    file: str
    layout: ChatLayout


def chat_files(root: Root, layout: ChatLayout) -> list[ChatFile]:
    """Every JSON file of the source, all of the same layout."""
    return [ChatFile(file=file, layout=layout) for file in root.files(*SUFFIXES)]


def chat_rows(
    root: Root,
    files: Sequence[ChatFile | Skip],
    *,
    expected: str,
    misfit: Misfit | None = None,
) -> Iterator[ChatRow | Skip]:
    """The records of those files that hold conversations, split by split; a file that holds none is skipped.

    `misfit` says why the first record of a file is of another format than the `expected` one, when it is: by default
    `messages_misfit`. Raises UsageError when no file is left, naming the reason for the first, and DataError for one
    that can not be read.
    """
    fitting: list[tuple[str, ChatFile]] = []
    others: list[Skip] = []
    for file in files:
        if isinstance(file, Skip):
            others.append(file)
            continue
        reason, is_exported = _look_at(root, file, misfit or messages_misfit)
        if reason is None:
            # What phidata exported is called as its split is, whatever that is.
            split = PurePosixPath(file.file).stem if is_exported else split_of(file.file)
            fitting.append((split, file))
        else:
            others.append(Skip(file=file.file, reason=f"no {expected}: {reason}"))
    if not fitting:
        first = next((f"{skip.file}: {skip.reason}" for skip in others), "it has no .json or .jsonl file")
        raise UsageError(f"{root.name} holds no {expected}; {first.replace(f'no {expected}: ', '')}")
    return _rows(root, fitting, others)


def convert_chat(row: ChatRow, media: Media) -> Converted:
    """The turns of a record: each image in the turn where it is shown, and in metadata all that has no other place."""
    record = _decoded(row.data)
    check_supported(record)
    chat = read_chat(record, row.layout)
    kept = _kept(record, len(chat.exchanges))
    _check_media(chat)
    answers = kept.answers or [None] * len(chat.exchanges)
    turns = [_turn(exchange, known, media) for exchange, known in zip(chat.exchanges, answers, strict=True)]
    return Converted(turns=turns, metadata=_metadata(record, row.layout, chat, kept), source=kept.source or None)


def check_supported(record: Mapping[str, Any]) -> None:
    """Raise DataError for a record with preference data, tools, audio or regions of images."""
    for key in _PREFERENCE:
        if not is_empty(record.get(key)):
            raise DataError(f"it is preference data ({key!r}), which a conversation can not hold")
    if isinstance(record.get("label"), bool):
        raise DataError("it is preference data ('label' is true or false), which a conversation can not hold")
    for key in _BEYOND:
        if not is_empty(record.get(key)):
            raise DataError(f"it has {key!r}, which a conversation can not hold")


def messages_misfit(record: Mapping[str, Any], layout: ChatLayout) -> str | None:
    """Why a record has no messages of this layout, when it has none."""
    try:
        first = layout.messages_of(record)[0]
    except DataError as error:
        return str(error)
    if not isinstance(first, dict):
        return f"its first message is {kind_of(first)}, where an object is expected"
    role, content = first_key(layout.role, first), first_key(layout.content, first)
    if role is None or content is None:
        missing = layout.content if role else layout.role
        return f"a message has no {' or '.join(map(repr, missing))}, but {', '.join(map(repr, islice(first, 6)))}"
    if isinstance(first[content], list) and not layout.typed:
        return f"{content!r} is a list of parts (see --from messages)"
    return None


def _look_at(root: Root, file: ChatFile, misfit: Misfit) -> tuple[str | None, bool]:
    """Why a file holds no conversations, by its first record; and whether phidata exported it.

    Raises DataError for a file that can not be read, or begins with lines that are no records.
    """
    entries = list(islice(json_objects(root.path / file.file), 3))
    if not entries:
        return "it is empty", False
    entry = next((entry for entry in entries if entry.problem is None), None)
    if entry is None:
        raise DataError(f"{file.file}:{entries[0].line}: {entries[0].problem}")
    try:
        check_supported(entry.value)
    except DataError as error:
        return str(error), False
    return misfit(entry.value, file.layout), isinstance(entry.value.get(KEPT), str)


def _rows(root: Root, fitting: Sequence[tuple[str, ChatFile]], others: Sequence[Skip]) -> Iterator[ChatRow | Skip]:
    yield from others
    for split in dict.fromkeys(split for split, _ in fitting):
        for of_split, file in fitting:
            if of_split == split:
                yield from _rows_of(root, file, split)


def _rows_of(root: Root, file: ChatFile, split: str) -> Iterator[ChatRow]:
    stem = re.sub(r"[^\w./-]", "_", str(PurePosixPath(file.file).with_suffix("")))
    for number, record in enumerate(_numbered(json_records(root.path / file.file)), start=1):
        yield ChatRow(
            split=split,
            name=f"{split}/{stem}-{number:07d}",
            file=file.file,
            line=record.line,
            id=_id_of(record.data),
            data=record.data,
            layout=file.layout,
        )


def _numbered(records: Iterator[Record]) -> Iterator[Record]:
    """The records with their lines; with their own numbers when all of them stand on one line."""
    first = list(islice(records, 2))
    is_one_line = len(first) == 2 and first[0].line == first[1].line
    for number, record in enumerate(chain(first, records), start=1):
        yield record._replace(line=number) if is_one_line else record


class _Head(msgspec.Struct):
    id: str | int | None = None


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_kept = msgspec.json.Decoder(Kept).decode


def _id_of(data: bytes) -> str | None:
    try:
        found = _decode_head(data).id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return None if found is None else str(found)


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        record = msgspec.json.decode(data)
    except UnicodeDecodeError as error:
        raise DataError(f"it is not UTF-8 (byte 0x{error.object[error.start]:02x}); save the file as UTF-8") from error
    except msgspec.MsgspecError as error:
        raise DataError(f"it is not JSON ({error}); mend the file") from error
    if not isinstance(record, dict):
        raise DataError(f"it is {kind_of(record)}, where an object is expected; mend the file")
    return record


def _kept(record: Mapping[str, Any], num_turns: int) -> Kept:
    text = record.get(KEPT)
    if not isinstance(text, str):
        return Kept(source="", metadata=None if text is None else {KEPT: text})
    try:
        kept = _decode_kept(text)
    except msgspec.MsgspecError as error:
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


def _check_media(chat: Chat) -> None:
    # Both are numbered by row, each without regard to the other.
    media = [medium for exchange in chat.exchanges for medium in exchange.media]
    films = any(medium.kind == "video" and isinstance(medium.file, str) for medium in media)
    if films and any(str(medium.file).startswith("data:") for medium in media):
        raise DataError("it shows a video and an image as a data: URI; write the image to a file")
