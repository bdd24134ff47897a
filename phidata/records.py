"""The typed records of one conversation; the written contract is schemas/conversation.schema.json."""

from __future__ import annotations

from typing import Any

import msgspec


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One exchange: the images shown, what the user says, what the assistant answers.

    `images` are relative POSIX paths below the image folder, in the order in which they are shown. `answers` lists
    every accepted answer, for evaluation; without it `assistant` is the only one.
    """

    images: tuple[str, ...]
    user: str
    assistant: str
    answers: tuple[str, ...] | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One row of a data set: an id unique in it, the name of its origin, and one or more turns in order."""

    id: str
    source: str
    conversations: tuple[Turn, ...]
    metadata: dict[str, Any] | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """All image paths, numbered through the whole conversation in reading order."""
        return tuple(image for turn in self.conversations for image in turn.images)
