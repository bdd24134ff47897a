"""A conversation as token ids, with supervision known from construction.

One turn is the published fine-tuning format: the chat template's prompt, tokenised in chunks around the images, then
the answer, tokenised on its own, and the closing tokens. For several turns the pieces follow one another, so that the
tokens of turns 1 … j, without the closing one, are a prefix of those of turns 1 … j + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from phidata import Conversation


@dataclass(frozen=True, kw_only=True)
class ChatFormat:
    """The control tokens of a model's chat, and how it tokenises what is only text.

    `encode_text` gives ids for plain text and never makes a control token, whatever the text spells.
    """

    encode_text: Callable[[str], list[int]]
    chunk_start: tuple[int, ...]  # where the conversation starts, and again after each image
    open_user: tuple[int, ...]
    open_assistant: tuple[int, ...]  # ends the user's words and opens the answer
    end_assistant: tuple[int, ...]  # after each answer, supervised
    close: tuple[int, ...]  # after the last answer, supervised


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """Token ids, image k as a run of -k, and for each whether its prediction is trained."""

    ids: list[int] = field(default_factory=list)
    supervised: list[bool] = field(default_factory=list)
    num_images: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_supervised(self) -> int:
        return sum(self.supervised)


def render(conversation: Conversation, image_tokens: Sequence[int], chat: ChatFormat) -> Rendered:
    """The whole conversation for training. `image_tokens`: how many positions each of its images takes, in order."""
    ids, supervised, num_images = _turns(conversation, len(conversation.conversations), image_tokens, chat)
    ids += chat.close
    supervised += [True] * len(chat.close)
    return Rendered(ids=ids, supervised=supervised, num_images=num_images)


def prompt_for_turn(conversation: Conversation, turn: int, image_tokens: Sequence[int], chat: ChatFormat) -> Rendered:
    """What the model reads before it answers turn number `turn`, counted from 0: the turns before it with their
    answers, then its images and question. Exactly the ids that `render` puts before that answer; none is supervised."""
    ids, _, num_images = _turns(conversation, turn, image_tokens, chat)
    num_images = _ask(ids, conversation, turn, num_images, image_tokens, chat)
    return Rendered(ids=ids, supervised=[False] * len(ids), num_images=num_images)


def prompt_text(user: str, num_images: int, first_image: int = 1) -> str:
    """The question of one turn as a person would write it for the published processor, for reports."""
    tags = "".join(f"<|image_{number}|>" for number in range(first_image, first_image + num_images))
    return f"{tags}\n{user}" if tags else user


def _turns(
    conversation: Conversation, count: int, image_tokens: Sequence[int], chat: ChatFormat
) -> tuple[list[int], list[bool], int]:
    """The first `count` turns with their answers: ids, supervised flags, number of images."""
    assert len(image_tokens) >= sum(len(turn.images) for turn in conversation.conversations[:count])
    ids = list(chat.chunk_start)
    supervised = [False] * len(ids)
    num_images = 0
    for number, turn in enumerate(conversation.conversations[:count]):
        num_images = _ask(ids, conversation, number, num_images, image_tokens, chat)
        answer = [*chat.encode_text(turn.assistant), *chat.end_assistant]
        supervised += [False] * (len(ids) - len(supervised)) + [True] * len(answer)
        ids += answer
    return ids, supervised, num_images


def _ask(
    ids: list[int],
    conversation: Conversation,
    turn: int,
    num_images: int,
    image_tokens: Sequence[int],
    chat: ChatFormat,
) -> int:
    """Append one question and the opening of its answer; returns the number of images so far."""
    ids += chat.open_user
    images = conversation.conversations[turn].images
    if images:
        ids += chat.encode_text("\n")
    for _ in images:
        num_images += 1
        ids += [-num_images] * image_tokens[num_images - 1]
        ids += chat.chunk_start
    ids += chat.encode_text("\n" + conversation.conversations[turn].user)
    ids += chat.open_assistant
    return num_images
