"""One message of a conversation: who says it, its text without tags, and what it shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from phidata.errors import DataError
from phidata.sources.chat_layout import ChatLayout, Kind, Speaker, first_key, is_empty
from phidata.sources.tags import lift_tags
from phidata.storage.annotations import kind_of

_PART_KINDS: dict[str, Kind] = {"image": "image", "image_url": "image", "video": "video", "video_url": "video"}
_WEIGHTS = ("loss", "loss_weight", "loss_scale", "weight")
_SAID_OTHERWISE = ("tool_calls", "function_call", "thinking", "reasoning_content", "refusal", "audio")
_MEANINGFUL = frozenset((*_WEIGHTS, *_SAID_OTHERWISE))


class Medium(NamedTuple):
    """An image or a video that a message shows. Without a `file` it is the next of the record's list of its kind, the
    one with the number `place` where that is said."""

    kind: Kind
    file: Any = None
    place: int | None = None


class Message(NamedTuple):
    """One message, its text without tags; `number` counts the messages of the record from 1."""

    number: int
    speaker: Speaker
    text: str
    media: list[Medium]
    extra: dict[str, Any]

    @property
    def name(self) -> str:
        return f"message {self.number} ({self.speaker})"


def read_message(number: int, raw: Any, layout: ChatLayout) -> Message:
    """Read a message, `number` of its record. Raises DataError for what is none that a conversation can hold."""
    if not isinstance(raw, dict):
        raise DataError(f"message {number} is {kind_of(raw)}, where an object is expected")
    role, content = first_key(layout.role, raw), first_key(layout.content, raw)
    speaker = layout.speaker(raw[role]) if role else None
    if role is None:
        raise DataError(f"message {number} has no {layout.role[0]!r}, which says whose it is")
    if speaker is None:
        known = ", ".join(map(repr, (*layout.user, *layout.assistant, *layout.system)))
        raise DataError(f"message {number} is from {raw[role]!r}; a conversation can hold messages from {known} only")
    name = f"message {number} ({speaker})"
    _check_meaning(name, speaker, raw)
    text, media = _content(name, None if content is None else raw[content], layout)
    if speaker == "assistant" and media:
        raise DataError(f"{name} shows {media[0].kind}s; only the user's messages can")
    if speaker == "system" and media:
        raise DataError(f"{name} shows {media[0].kind}s; they belong into the first question")
    if speaker != "system" and (not text or text.isspace()):
        raise DataError(f"{name} has no text" + (f" besides its {media[0].kind}s" if media else ""))
    return Message(number, speaker, text, media, _extra(raw, role, content) if len(raw) > 2 else {})


def _extra(raw: Mapping[str, Any], role: str, content: str | None) -> dict[str, Any]:
    """What a message has besides what is read of it."""
    return {key: value for key, value in raw.items() if key not in (role, content, *_WEIGHTS) and not is_empty(value)}


def _check_meaning(name: str, speaker: Speaker, raw: Mapping[str, Any]) -> None:
    """Refuse what changes what the message means for training."""
    if _MEANINGFUL.isdisjoint(raw):
        return
    for key in _SAID_OTHERWISE:
        if not is_empty(raw.get(key)):
            raise DataError(f"{name} has {key!r}, which a conversation can not hold")
    for key in _WEIGHTS:
        weight = raw.get(key)
        if weight is not None and weight != (speaker == "assistant"):
            trained = "every answer is trained on" if speaker == "assistant" else "nothing but answers is trained on"
            raise DataError(f"{name} has {key} {weight}; {trained}, with the same weight")


def _content(name: str, content: Any, layout: ChatLayout) -> tuple[str, list[Medium]]:
    if isinstance(content, str):
        lifted = lift_tags(content, layout.tags)
        _check_inline(name, lifted.is_inside, layout)
        return lifted.text, [Medium(layout.tags[tag]) for tag in lifted.tags]
    if isinstance(content, list) and layout.typed:
        return _parts(name, content, layout)
    raise DataError(f"{name} has {kind_of(content)} as its content, where text is expected")


def _parts(name: str, parts: list[Any], layout: ChatLayout) -> tuple[str, list[Medium]]:
    pieces: list[str | Medium] = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            text = part.get("text", part.get("value"))
            if not isinstance(text, str):
                raise DataError(f"{name} has a text part with {kind_of(text)} as its text")
            pieces.append(text)
        elif isinstance(kind, str) and kind in _PART_KINDS:
            pieces.append(_medium(part, kind))
        else:
            raise DataError(f"{name} has a part {kind_of(kind)}; a part is of type text, image or video")
    media = [piece for piece in pieces if isinstance(piece, Medium)]
    lifted = lift_tags("".join(piece for piece in pieces if isinstance(piece, str)), layout.markers)
    if lifted.tags:
        _check_markers(name, lifted.tags, media, layout)
        _check_inline(name, lifted.is_inside, layout)
        return lifted.text, media
    order = "".join("m" if isinstance(piece, Medium) else "t" * bool(piece.strip()) for piece in pieces)
    _check_inline(name, bool(re.search("tm+t", order)), layout)
    return lifted.text, media


def _medium(part: Mapping[str, Any], kind: str) -> Medium:
    """What a part shows, under one of the names that trainers use for it."""
    file = next(
        (part[key] for key in (kind, "value", "url", "path", _PART_KINDS[kind]) if not is_empty(part.get(key))), None
    )
    return Medium(_PART_KINDS[kind], file, part.get("index") if file is None else None)


def _check_inline(name: str, is_inline: bool, layout: ChatLayout) -> None:
    if is_inline and layout.inline == "fail":
        raise DataError(f"{name} has an image between pieces of text (--inline fail)")


def _check_markers(name: str, found: Sequence[str], media: Sequence[Medium], layout: ChatLayout) -> None:
    marked = Counter(layout.markers[tag] for tag in found)
    shown = Counter(medium.kind for medium in media)
    for tag, kind in layout.markers.items():
        if marked[kind] != shown[kind]:
            has = count_of(marked[kind], f"{tag} tag")
            raise DataError(f"{name} shows {count_of(shown[kind], kind)} and has {has}; each needs its own")


def count_of(number: int, noun: str) -> str:
    """`1 image`, `2 <image> tags`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
