"""Conversations as token ids: the published form for one turn, prefixes for several, text that stays text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from phidata import Conversation, Turn
from phitrain.models.adapter import Preprocessor, open_adapter
from phitrain.render import prompt_for_turn, render

BOS, USER, ASSISTANT, END, ENDOFTEXT = 1, 32010, 32001, 32007, 32000
SPACE, NEWLINE = 29871, 13


@pytest.fixture(scope="module")
def preprocessor(model_folder: Path) -> Preprocessor:
    return open_adapter(str(model_folder)).preprocessor


def conversation(*turns: tuple[int, str, str]) -> Conversation:
    """Turns as (number of images, user, assistant)."""
    made = tuple(
        Turn(images=tuple(f"{number}.png" for number in range(count)), user=user, assistant=assistant)
        for count, user, assistant in turns
    )
    return Conversation(id="row", source="test", conversations=made)


def test_one_turn_of_text_is_the_published_form(preprocessor: Preprocessor) -> None:
    rendered = render(conversation((0, "What is two plus two?", "Four.")), [], preprocessor.chat)
    prompt = [BOS, USER, SPACE, NEWLINE, 5618, 338, 1023, 2298, 1023, 29973, END, SPACE, NEWLINE, ASSISTANT]
    answer = [12458, 29889, END, SPACE, NEWLINE, ENDOFTEXT]
    assert rendered.ids == prompt + answer
    assert rendered.supervised == [False] * len(prompt) + [True] * len(answer)


def test_every_chunk_after_an_image_begins_anew(preprocessor: Preprocessor) -> None:
    rendered = render(conversation((2, "Hi", "No")), [3, 2], preprocessor.chat)
    head = [BOS, USER, SPACE, NEWLINE, -1, -1, -1, BOS, -2, -2, BOS, SPACE, NEWLINE]
    assert rendered.ids == [*head, 18567, END, SPACE, NEWLINE, ASSISTANT, 1939, END, SPACE, NEWLINE, ENDOFTEXT]
    assert rendered.num_images == 2


@pytest.mark.parametrize("num_images", [0, 1, 2, 8])
@pytest.mark.parametrize("user", ["Which colour?", "  two  blanks ", "tab\tand\nline", "日本 🙂", ""])
def test_a_prompt_equals_the_published_processor(model_folder: Path, user: str, num_images: int) -> None:
    preprocessor = open_adapter(str(model_folder)).preprocessor
    tags = "".join(f"<|image_{number}|>" for number in range(1, num_images + 1))
    text = f"<|user|>\n{tags}\n{user}<|end|>\n<|assistant|>\n" if tags else f"<|user|>\n{user}<|end|>\n<|assistant|>\n"
    images = [Image.new("RGB", (20, 30))] * num_images
    published = preprocessor.processor(text, images or None)["input_ids"][0].tolist()  # type: ignore[attr-defined]
    tokens = [preprocessor.num_image_tokens(20, 30)] * num_images
    rendered = prompt_for_turn(conversation((num_images, user, "x")), 0, tokens, preprocessor.chat)
    assert rendered.ids == published


def test_several_turns_equal_the_whole_chat_through_the_published_processor(model_folder: Path) -> None:
    preprocessor = open_adapter(str(model_folder)).preprocessor
    text = (
        "<|user|>\n<|image_1|>\nWhich?<|end|>\n<|assistant|>\nred<|end|>\n"
        "<|user|>\n<|image_2|><|image_3|>\nAnd these?<|end|>\n<|assistant|>\nblue<|end|>\n<|endoftext|>"
    )
    published = preprocessor.processor(text, [Image.new("RGB", (20, 30))] * 3)  # type: ignore[attr-defined]
    chat = conversation((1, "Which?", "red"), (2, "And these?", "blue"))
    assert render(chat, [313] * 3, preprocessor.chat).ids == published["input_ids"][0].tolist()


TURN = st.tuples(st.integers(0, 2), st.text(max_size=20), st.text(min_size=1, max_size=10))
CONTROL = ["<|end|>", "<|user|>", "<|assistant|>", "<|endoftext|>", "<s>", "</s>", "<|image_1|>", "<|image|>"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=st.lists(TURN, min_size=1, max_size=4))
def test_turns_are_prefixes_and_prompts_stop_at_the_answer(
    preprocessor: Preprocessor, turns: list[tuple[int, str, str]]
) -> None:
    chat, tokens = preprocessor.chat, [3, 1, 2, 4, 1, 2, 3, 1]
    whole = render(conversation(*turns), tokens, chat)
    assert whole.ids[-1] == ENDOFTEXT
    for number in range(len(turns)):
        part = render(conversation(*turns[: number + 1]), tokens, chat)
        assert whole.ids[: len(part) - 1] == part.ids[:-1]
        prompt = prompt_for_turn(conversation(*turns), number, tokens, chat)
        answer = [*chat.encode_text(turns[number][2]), END, SPACE, NEWLINE]
        assert part.ids == [*prompt.ids, *answer, ENDOFTEXT]
        assert part.supervised[len(prompt) - 1 :] == [False] + [True] * (len(answer) + 1)
        assert not any(prompt.supervised)


@pytest.mark.parametrize("spelling", CONTROL)
def test_text_that_spells_a_control_token_stays_text(preprocessor: Preprocessor, spelling: str) -> None:
    plain = render(conversation((1, "x", "y")), [2], preprocessor.chat)
    spelled = render(conversation((1, f"a {spelling} b", f"c {spelling} d")), [2], preprocessor.chat)

    def control(ids: list[int]) -> list[int]:
        return [token for token in ids if token < 3 or token >= 32000]

    assert control(spelled.ids) == control(plain.ids)
    text = preprocessor.processor.tokenizer.decode([i for i in spelled.ids if i > 2])  # type: ignore[attr-defined]
    assert f"a {spelling} b" in text
    assert f"c {spelling} d" in text


def test_user_tokens_and_images_are_never_supervised(preprocessor: Preprocessor) -> None:
    rendered = render(conversation((1, "red", "red"), (1, "red", "red")), [2, 2], preprocessor.chat)
    trained = [token for token, supervised in zip(rendered.ids, rendered.supervised, strict=True) if supervised]
    assert trained == [2654, END, SPACE, NEWLINE, 2654, END, SPACE, NEWLINE, ENDOFTEXT]
