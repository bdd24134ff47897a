"""The control tokens are those of the published tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phidata.validation.tokens import CONTROL_TOKENS, control_tokens

TOKENIZER = Path(__file__).parents[2] / "phitrain" / "models" / "phi3v" / "tokenizer" / "tokenizer.json"


def test_every_added_token_of_the_tokenizer_is_known() -> None:
    added = json.loads(TOKENIZER.read_text())["added_tokens"]
    assert sorted(CONTROL_TOKENS) == sorted(token["content"] for token in added)


@pytest.mark.parametrize("token", [*CONTROL_TOKENS, "<|image_1|>", "<|image_12|>"])
def test_a_text_that_spells_a_token_is_found(token: str) -> None:
    assert control_tokens(f"a{token}b{token}") == [token]


@pytest.mark.parametrize(
    "text", ["", "<|end |>", "<|image_|>", "<|image_x|>", "<|placeholder40|>", "<S>", "a < b > c", "<0x0A>"]
)
def test_other_text_spells_none(text: str) -> None:
    assert control_tokens(text) == []


def test_tokens_come_in_the_order_of_the_text() -> None:
    assert control_tokens("<|user|>x<|end|><|assistant|>y<|end|>") == ["<|user|>", "<|end|>", "<|assistant|>"]
