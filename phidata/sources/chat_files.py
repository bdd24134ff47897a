"""Files of conversations: which of a source they are, of which split, and their records as rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import msgspec

from phidata.conversion.converter import Skip
from phidata.errors import DataError, UsageError
from phidata.sources.chat_layout import ChatLayout, first_key
from phidata.sources.chat_record import KEPT, ChatRow, check_supported
from phidata.sources.files import split_of
from phidata.storage.annotations import UNREADABLE, json_objects, json_records, kind_of
from phidata.storage.source import Root

SUFFIXES = (".json", ".jsonl", ".ndjson")

Misfit = Callable[[Mapping[str, Any], ChatLayout], "str | None"]


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
    for number, record in enumerate(json_records(root.path / file.file), start=1):
        yield ChatRow(
            split=split,
            name=f"{split}/{stem}-{number:07d}",
            file=file.file,
            line=record.line,
            id=_id_of(record.data),
            offset=record.offset,
            num_bytes=len(record.data),
            layout=file.layout,
        )


class _Head(msgspec.Struct):
    id: str | int | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


def _id_of(data: bytes) -> str | None:
    try:
        found = _decode_head(data).id
    except UNREADABLE:
        return None
    return None if found is None else str(found)
