from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from phidata.errors import DataError, UsageError

from .chats import convert_records, converted, write_images

CLIP = Path(__file__).parents[1] / "media" / "videos" / "3.avi"


def record(user: str, assistant: str = "Ann.", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}], **more}


def turn(images: list[str], user: str, assistant: str = "Ann.") -> dict[str, Any]:
    return {"images": images, "user": user, "assistant": assistant}


def test_both_spellings_are_read(tmp_path: Path) -> None:
    sharegpt = {
        "conversations": [{"from": "human", "value": "Who?<image>"}, {"from": "gpt", "value": "Ann."}],
        "images": ["a/1.jpg"],
        "system": "Be brief.",
    }
    assert convert_records("sharegpt", tmp_path, record("<image>Who?", images=["a/1.jpg"]), sharegpt) == [
        {"conversations": [turn(["train/a/1.jpg"], "Who?")]},
        {"conversations": [turn(["train/a/1.jpg"], "Who?")], "metadata": {"system": "Be brief."}},
    ]


def test_a_video_becomes_its_frames_between_images(tmp_path: Path) -> None:
    shutil.copy(CLIP, tmp_path / "clip.avi")
    mixed = record("<image><video><image>Who?", images=["a/1.jpg", "a/2.jpg"], videos=["clip.avi"])
    frames = record("<video>Who?", videos=[["a/1.jpg", "a/2.jpg"]])
    found = convert_records("sharegpt", tmp_path, mixed, frames)
    images = found[0]["conversations"][0]["images"]
    assert [image.startswith("train/train-0000001.") for image in images] == [False, True, True, False]
    assert len(set(images)) == 4
    assert found[1:] == [
        {"conversations": [turn(["train/a/1.jpg", "train/a/2.jpg"], "Who?")]},
    ]


def test_what_a_conversation_can_not_hold_fails_the_row(tmp_path: Path) -> None:
    weighted = record("Who?")
    weighted["messages"][1]["loss_weight"] = 0.0
    called = record("Who?")
    called["messages"][1]["tool_calls"] = [{"function": {"name": "look"}}]
    assert convert_records(
        "sharegpt",
        tmp_path,
        record("Who?"),
        record("Who?", tools='[{"name": "look"}]'),
        record("Who?", rejected={"role": "assistant", "content": "Ben."}),
        record("Who?", kto_tag=True),
        record("Who?", label=False),
        record("Who?", audios=["a.wav"]),
        weighted,
        called,
        record("Who?", system=7),
    )[1:] == [
        "2: it has 'tools', which a conversation can not hold",
        "3: it is preference data ('rejected'), which a conversation can not hold",
        "4: it is preference data ('kto_tag'), which a conversation can not hold",
        "5: it is preference data ('label' is true or false), which a conversation can not hold",
        "6: it has 'audios', which a conversation can not hold",
        "7: message 2 (assistant) has loss_weight 0.0; every answer is trained on, with the same weight",
        "8: message 2 (assistant) has 'tool_calls', which a conversation can not hold",
        "9: 'system' is the number 7, where text is expected",
    ]


def test_columns_and_tags_can_be_called_otherwise(tmp_path: Path) -> None:
    other = {"dialog": [{"who": "q", "text": "<image>Who?"}, {"who": "a", "text": "Ann."}], "pictures": ["a/1.jpg"]}
    columns = ("messages=dialog", "images=pictures")
    tags = ("role_tag=who", "content_tag=text", "user_tag=q", "assistant_tag=a")
    assert convert_records("sharegpt", tmp_path, other, column=columns, tag=tags) == [
        {"conversations": [turn(["train/a/1.jpg"], "Who?")]}
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"column": ("pictures=x",)}, "no column 'pictures' can be named; there are messages, images, videos, system"),
        (
            {"tag": ("user=x",)},
            "no tag 'user' can be named; there are role_tag, content_tag, user_tag, assistant_tag, ",
        ),
        ({"tag": ("user_tag",)}, "--tag user_tag can not be read; write NAME=VALUE, each name once"),
        ({"column": ("images=a", "images=b")}, "--column images=b can not be read; write NAME=VALUE, each name once"),
    ],
)
def test_a_column_or_tag_that_there_is_not_is_refused(tmp_path: Path, settings: Any, message: str) -> None:
    with pytest.raises(UsageError) as error:
        convert_records("sharegpt", tmp_path, record("Who?"), **settings)
    assert str(error.value).startswith(message)


def test_dataset_info_says_what_is_read_and_how(tmp_path: Path) -> None:
    write_images(tmp_path)
    other = {"dialog": [{"who": "q", "text": "<image>Who?"}, {"who": "a", "text": "Ann."}], "pictures": ["a/1.jpg"]}
    for name in ("good", "alpaca", "dpo", "stray"):
        (tmp_path / f"{name}.json").write_text(json.dumps([other]))
    columns = {"messages": "dialog", "images": "pictures"}
    tags = {"role_tag": "who", "content_tag": "text", "user_tag": "q", "assistant_tag": "a"}
    info = {
        "good": {"file_name": "good.json", "formatting": "sharegpt", "columns": columns, "tags": tags},
        "alpaca": {"file_name": "alpaca.json"},
        "dpo": {"file_name": "dpo.json", "formatting": "sharegpt", "ranking": True},
        "hub": {"hf_hub_url": "a/b"},
    }
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    assert converted("sharegpt", tmp_path) == [
        "alpaca.json: its format in dataset_info.json is alpaca",
        "dpo.json: it is preference data by dataset_info.json",
        "stray.json: not in dataset_info.json",
        {"conversations": [turn(["train/a/1.jpg"], "Who?")]},
    ]
    assert converted("sharegpt", tmp_path / "good.json") == [{"conversations": [turn(["train/a/1.jpg"], "Who?")]}]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"columns": ["a"]}, "a list as 'columns' of good.json, where an object is expected"),
        ({"tags": {"role_tag": []}}, "a list as 'role_tag' of good.json, where a name is expected"),
        ({"columns": {"messages": 7}}, "the number 7 as 'messages' of good.json, where a name is expected"),
    ],
)
def test_a_dataset_info_with_something_else_is_refused(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    (tmp_path / "good.json").write_text("[]")
    info = {"good": {"file_name": "good.json", "formatting": "sharegpt", **change}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(DataError) as refusal:
        converted("sharegpt", tmp_path)
    assert str(refusal.value) == f"dataset_info.json has {fault}; mend it"


def test_a_llava_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a record has 'images' and not 'image' \\(see --from llava\\)"):
        convert_records("sharegpt", tmp_path, record("<image>Who?", image="a/1.jpg"))
