"""What other trainers would do to a row: each function knows one, by the rules of `phidata.diagnostics.trainer_rules`.

A row is taken as `phidata export` writes it for that trainer, with an image tag before the text of its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, get_args

from phidata.diagnostics import Rule, trainer_rules
from phidata.validation.accept import AcceptedTurn
from phidata.validation.concern import Concern

Trainer = Literal["phitrain", "llava", "trl", "llamafactory", "swift"]
TRAINERS: tuple[Trainer, ...] = get_args(Trainer)
Turns = Sequence[AcceptedTurn]

TAG = "<image>"
PLACEHOLDERS = ("<image>", "<video>", "<audio>")
IMAGE_TOKENS = ("<image>", "<|image_pad|>", "<|image|>", "<start_of_image>", "[IMG]")
PHI_IMAGE_TOKEN = "<|image|>"
LLAVA_MARKUP = ("</s>", "<unk>")
LLAVA_ANSWER = " ASSISTANT: "


def trainer_concerns(trainer: Trainer, turns: Turns) -> Iterator[Concern]:
    """What the trainer would do to a row of these turns that its writer does not expect."""
    return _TRAINERS[trainer](turns)


def _phitrain(turns: Turns) -> Iterator[Concern]:  # noqa: ARG001
    """Takes every row that has no error; an image that is too thin for the model is found with the tokens."""
    return iter(())


def _llava(turns: Turns) -> Iterator[Concern]:
    num_images = sum(len(turn.images) for turn in turns)
    if num_images > 1:
        message = f"LLaVA would stop: the row has {num_images} images, and a record of LLaVA has one"
        yield Concern(trainer_rules.LLAVA_SEVERAL_IMAGES, ("conversations",), message)
    for number, turn in enumerate(turns):
        for key, text in _texts(turn):
            path = ("conversations", number, key)
            beside_image = key == "user" and bool(turn.images)
            if num_images and TAG in text:
                fate = "deleted" if beside_image else "given an image of another row"
                message = f"LLaVA would change the row: {TAG} in `{key}` would be {fate}"
                yield Concern(trainer_rules.LLAVA_IMAGE_TAG, path, message, TAG)
            elif beside_image and text != text.strip():
                message = "LLaVA would change the row: the blanks around `user` would be stripped"
                yield Concern(trainer_rules.LLAVA_STRIPPED, path, message)
            if markup := _llava_markup(key, text):
                message = f"LLaVA would learn nothing from the row: `{key}` spells {markup.strip()!r}"
                yield Concern(trainer_rules.LLAVA_UNTRAINED, path, message, markup.strip())


def _llava_markup(key: str, text: str) -> str:
    """The markup that a text spells, together with the blanks that stand around it in the conversation."""
    around = f" {text} " if key == "user" else f" {text}"
    return next((markup for markup in (*LLAVA_MARKUP, LLAVA_ANSWER) if markup in around), "")


def _trl(turns: Turns) -> Iterator[Concern]:
    yield from _spelled(
        turns, IMAGE_TOKENS, trainer_rules.TRL_IMAGE_TOKEN, "TRL would stop with a model of this image token"
    )


def _llamafactory(turns: Turns) -> Iterator[Concern]:
    yield from _spelled(turns, PLACEHOLDERS, trainer_rules.LLAMAFACTORY_PLACEHOLDER, "LLaMA-Factory would stop")


def _swift(turns: Turns) -> Iterator[Concern]:
    last = max((number for number, turn in enumerate(turns) if turn.images), default=-1)
    yield from _spelled(
        turns[:last] if last > 0 else (),
        (TAG,),
        trainer_rules.SWIFT_IMAGE_MOVED,
        "ms-swift would show an image of a later turn here",
    )
    if last >= 0:
        yield from _spelled(
            turns,
            (PHI_IMAGE_TOKEN,),
            trainer_rules.SWIFT_IMAGE_TOKEN,
            "ms-swift would drop the row with Phi-3-vision",
        )


def _spelled(turns: Turns, tokens: Sequence[str], rule: Rule, fate: str) -> Iterator[Concern]:
    for number, turn in enumerate(turns):
        for key, text in _texts(turn):
            if token := next((token for token in tokens if token in text), ""):
                yield Concern(rule, ("conversations", number, key), f"{fate}: `{key}` spells {token}", token)


def _texts(turn: AcceptedTurn) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("user", turn.user), ("assistant", turn.assistant)


_TRAINERS: dict[Trainer, Callable[[Turns], Iterator[Concern]]] = {
    "phitrain": _phitrain,
    "llava": _llava,
    "trl": _trl,
    "llamafactory": _llamafactory,
    "swift": _swift,
}
