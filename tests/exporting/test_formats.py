"""The records, literally: their keys are what the trainers look for."""

from __future__ import annotations

import pytest

from phidata.exporting.formats import FORMATS, Record
from phidata.exporting.result import Unfit
from phidata.records import Conversation

from .conftest import ROWS, WITH_SYSTEM, WITH_TAG, row, turn


def encode(to: str, each: Conversation) -> Record:
    return FORMATS[to].encode(each)


def test_llava_has_one_image_as_a_path_several_as_a_list_and_none_without_the_key() -> None:
    kept = '{"source":"pets"}'
    assert encode("llava", ROWS[0]) == {
        "id": "album/1",
        "image": ("train/a/1.jpg", "train/a/2.jpg", "train/ü b.png"),
        "conversations": [
            {"from": "human", "value": "<image>\n<image>\nWho?"},
            {"from": "gpt", "value": "Ann."},
            {"from": "human", "value": "<image>\nHere?"},
            {"from": "gpt", "value": "Ben."},
        ],
        "phidata": kept,
    }
    assert encode("llava", row(turn("Who?", "Ann.", "train/a/1.jpg")))["image"] == "train/a/1.jpg"
    assert "image" not in encode("llava", ROWS[2])


def test_sharegpt_has_every_column_in_every_record() -> None:
    assert encode("sharegpt", WITH_SYSTEM) == {
        "id": "4",
        "conversations": [{"from": "human", "value": "<image>Who?"}, {"from": "gpt", "value": "Ann."}],
        "images": ("train/c.webp",),
        "system": "Be brief.",
        "phidata": '{"source":"pets","metadata":{"n":1}}',
    }
    assert encode("sharegpt", ROWS[2]) == {
        "id": "3",
        "conversations": [
            {"from": "human", "value": "日本語 <|end|> <s>"},
            {"from": "gpt", "value": '\\u0000 "quoted"\n'},
        ],
        "images": (),
        "system": "",
        "phidata": '{"source":"pets","metadata":{"licence":"CC0","tags":[1,null]}}',
    }


def test_messages_have_typed_parts_and_a_list_of_images() -> None:
    assert encode("messages", WITH_SYSTEM) == {
        "id": "4",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Ann."}]},
        ],
        "images": ("train/c.webp",),
        "phidata": '{"source":"pets","metadata":{"n":1}}',
    }


def test_swift_has_tags_in_its_messages() -> None:
    assert encode("swift", ROWS[1]) == {
        "id": "2",
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "<image>And?"},
            {"role": "assistant", "content": "Ann."},
        ],
        "images": ("train/a/1.jpg",),
        "phidata": '{"source":"pets","answers":[["Hi","Hello"],null]}',
    }


@pytest.mark.parametrize("to", ["llava", "sharegpt", "swift"])
def test_a_text_that_spells_a_tag_does_not_fit_where_tags_place_images(to: str) -> None:
    with pytest.raises(Unfit) as found:
        encode(to, WITH_TAG)
    assert (found.value.code, found.value.reason) == (
        "tag-in-text",
        "`conversations[0].user` spells <image>, which would count as the place of a picture",
    )
    with pytest.raises(Unfit, match=r"`conversations\[0\].assistant` spells <video>"):
        encode(to, row(turn("How is a video placed?", "By <video>.")))


def test_a_text_that_spells_a_tag_fits_where_parts_place_images() -> None:
    assert encode("messages", WITH_TAG)["messages"][0]["content"] == [
        {"type": "text", "text": "What does <image> mean?"}
    ]


def test_llava_has_no_place_for_a_system_prompt() -> None:
    with pytest.raises(Unfit) as found:
        encode("llava", WITH_SYSTEM)
    assert found.value.code == "system-prompt"


def test_a_system_prompt_that_spells_a_tag_does_not_fit_among_messages() -> None:
    spelt = row(turn("Who?", "Ann."), metadata={"system": "Look at <image>."})
    with pytest.raises(Unfit, match=r"`metadata.system` spells <image>"):
        encode("swift", spelt)
    assert encode("sharegpt", spelt)["system"] == "Look at <image>."
