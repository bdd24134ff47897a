"""Tokens are counted as the trainer's renderer makes them."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phidata import Conversation, Turn
from phidata.statistics import RowTokens
from phidata.validation.token_count import TokenLimit

TEXTS = st.text(max_size=40) | st.sampled_from(["<|end|>", "</s>", "<|image_1|>\nWhich?", "  two  blanks ", "日本 🙂"])
TURNS = st.lists(st.tuples(st.integers(0, 3), TEXTS, TEXTS), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The format of the published models, with their tokenizer."""
    from phitrain.models.adapter import Phi3VPreprocessor
    from phitrain.models.phi3v import Phi3VProcessor

    folder = tmp_path_factory.mktemp("tokenizer")
    (folder / "preprocessor_config.json").write_text('{"num_crops": 16}')
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes(files("phitrain.models.phi3v.tokenizer").joinpath(name).read_bytes())
    return Phi3VPreprocessor(Phi3VProcessor.from_pretrained(folder), 16, 4096).chat


def conversation(turns: list[tuple[int, str, str]]) -> Conversation:
    made = tuple(Turn(images=("x",) * count, user=user, assistant=assistant) for count, user, assistant in turns)
    return Conversation(id="row", source="test", conversations=made)


@given(st.lists(TURNS, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_every_row_has_as_many_as_the_renderer_makes(chat: Any, rows: list[list[tuple[int, str, str]]]) -> None:
    from phitrain.render import render

    conversations = [conversation(turns) for turns in rows]
    rendered = [len(render(row, [7] * len(row.images), chat)) - 7 * len(row.images) for row in conversations]
    tokens = RowTokens()
    assert tokens.exact
    assert tokens.of_text(conversations) == rendered


@pytest.mark.parametrize(
    "text",
    [
        "Classify the video into one of the following classes: ApplyEyeMakeup, BenchPress, Diving.",
        "What is the date mentioned in this letter? Answer briefly.",
        "请描述这张图片中的内容。图中有一只狗在草地上奔跑。",
        "この画像に写っているものを説明してください。",
    ],
)
def test_an_estimate_is_near(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    row = [conversation([(0, text, "yes")])]
    (exact,) = RowTokens().of_text(row)
    monkeypatch.setattr(TokenLimit, "is_exact", False)
    (about,) = RowTokens().of_text(row)
    assert exact * 0.7 < about < exact * 1.3


def test_an_image_too_thin_for_the_model_has_no_tokens() -> None:
    assert RowTokens().of_image(6000, 1) is None
