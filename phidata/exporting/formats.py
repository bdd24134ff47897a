"""A row in the formats of other trainers: the records that they read, and what these can not hold.

Every format keeps under the key `phidata`, as JSON text, what it has no place for: the row's source, the accepted
answers and the metadata. No trainer reads it. It is a text because trainers that load records by Arrow need one type in
a column.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phidata.exporting.result import Unfit
from phidata.records import Conversation, Turn
from phidata.sources.chat_record import KEPT, Kept
from phidata.sources.tags import put_tags

Record = dict[str, Any]

IMAGE = "<image>"


@dataclass(frozen=True, kw_only=True)
class Format:
    """One format: how a row becomes a record, and whether the records of a file are one JSON list."""

    name: str
    encode: Callable[[Conversation], Record]
    is_list: bool

    @property
    def suffix(self) -> str:
        return ".json" if self.is_list else ".jsonl"


def encode_llava(row: Conversation) -> Record:
    """LLaVA's: one image is a path and several are a list, as LLaVA and LLaVA-NeXT look for them."""
    if _system(row) is not None:
        raise Unfit("system-prompt", "LLaVA has no place for the system prompt in metadata.system")
    _refuse_tags(row, IMAGE, "<video>")
    images = row.images
    shown: Record = {} if not images else {"image": images[0] if len(images) == 1 else images}
    said = [
        message
        for turn in row.conversations
        for message in (
            {"from": "human", "value": put_tags(turn.user, IMAGE, len(turn.images), each_on_a_line=True)},
            {"from": "gpt", "value": turn.assistant},
        )
    ]
    return {"id": row.id, **shown, "conversations": said, KEPT: _kept(row, system=None)}


def encode_sharegpt(row: Conversation) -> Record:
    """ShareGPT as LLaMA-Factory reads it; each record has all keys, because each column has to be there."""
    system = _system(row)
    _refuse_tags(row, IMAGE, "<video>", "<audio>")
    said = [
        message
        for turn in row.conversations
        for message in ({"from": "human", "value": _tagged(turn)}, {"from": "gpt", "value": turn.assistant})
    ]
    return {
        "id": row.id,
        "conversations": said,
        "images": row.images,
        "system": system or "",
        KEPT: _kept(row, system=system),
    }


def encode_messages(row: Conversation) -> Record:
    """OpenAI's messages with typed content, as TRL reads them: each image part stands for the next of `images`."""
    system = _system(row)
    said = [] if system is None else [_typed("system", system, 0)]
    for turn in row.conversations:
        said += [_typed("user", turn.user, len(turn.images)), _typed("assistant", turn.assistant, 0)]
    return {"id": row.id, "messages": said, "images": row.images, KEPT: _kept(row, system=system)}


def encode_swift(row: Conversation) -> Record:
    """ms-swift's: messages whose texts have tags, and the list of images."""
    system = _system(row)
    _refuse_tags(row, IMAGE, "<video>", "<audio>", system=system)
    said = [] if system is None else [{"role": "system", "content": system}]
    for turn in row.conversations:
        said += [{"role": "user", "content": _tagged(turn)}, {"role": "assistant", "content": turn.assistant}]
    return {"id": row.id, "messages": said, "images": row.images, KEPT: _kept(row, system=system)}


FORMATS = {
    form.name: form
    for form in (
        Format(name="llava", encode=encode_llava, is_list=True),
        Format(name="sharegpt", encode=encode_sharegpt, is_list=True),
        Format(name="messages", encode=encode_messages, is_list=False),
        Format(name="swift", encode=encode_swift, is_list=False),
    )
}


def _tagged(turn: Turn) -> str:
    return put_tags(turn.user, IMAGE, len(turn.images))


def _typed(role: str, text: str, num_images: int) -> Record:
    return {"role": role, "content": [*({"type": "image"} for _ in range(num_images)), {"type": "text", "text": text}]}


def _system(row: Conversation) -> str | None:
    """The system prompt, which phidata has no key for: importing puts it there."""
    system = (row.metadata or {}).get("system")
    return system if isinstance(system, str) and system.strip() else None


def _kept(row: Conversation, *, system: str | None) -> str:
    answers = [None if turn.answers is None else list(turn.answers) for turn in row.conversations]
    metadata = row.metadata
    if metadata is not None and system is not None:
        metadata = {key: value for key, value in metadata.items() if key != "system"}
    return Kept(
        source=row.source, answers=answers if any(known is not None for known in answers) else None, metadata=metadata
    ).to_json()


def _refuse_tags(row: Conversation, *tags: str, system: str | None = None) -> None:
    """Refuse a text that spells what the trainer would take for the place of an image."""
    texts = [
        (f"conversations[{number}].{who}", text)
        for number, turn in enumerate(row.conversations)
        for who, text in (("user", turn.user), ("assistant", turn.assistant))
    ]
    for where, text in (*texts, *([] if system is None else [("metadata.system", system)])):
        for tag in tags:
            if tag in text:
                raise Unfit("tag-in-text", f"`{where}` spells {tag}, which would count as the place of a picture")
