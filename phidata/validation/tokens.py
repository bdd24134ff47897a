"""The control tokens of the Phi-3-vision models, as text spells them."""

from __future__ import annotations

import re

CONTROL_TOKENS = (
    "<unk>",
    "<s>",
    "</s>",
    "<|endoftext|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
    "<|user|>",
    "<|image|>",
    *(f"<|placeholder{number}|>" for number in range(1, 40)),
)
IMAGE_TAG = r"<\|image_\d+\|>"  # not a token of the vocabulary, but the model's processor puts an image there

_CONTROL_TOKEN = re.compile("|".join([*map(re.escape, CONTROL_TOKENS), IMAGE_TAG]))


def control_tokens(text: str) -> list[str]:
    """The control tokens that a text spells, each once, in the order of their first appearance."""
    return list(dict.fromkeys(_CONTROL_TOKEN.findall(text))) if "<" in text else []
