from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from phidata.errors import DataError, UsageError

from .chats import convert_records, converted, listed, write_images


def record(*said: str, **more: Any) -> dict[str, Any]:
    """A record in which human and gpt speak in turn."""
    messages = [{"from": "gpt" if place % 2 else "human", "value": text} for place, text in enumerate(said)]
    return {"id": "7", **more, "conversations": messages}


def turn(images: list[str], user: str, assistant: str) -> dict[str, Any]:
    return {"images": images, "user": user, "assistant": assistant}


def test_an_image_is_shown_in_the_turn_where_its_tag_stands(tmp_path: Path) -> None:
    first = record("<image>\nWho?", "Ann.", "And now?", "Ben.", image="a/1.jpg")
    later = record("Hello", "Hi", "Who?\n<image>", "Ben.", image="a/1.jpg")
    several = record(
        "<image>\n<image>\nWho?", "Ann.", "And <image> here?", "Ben.", image=["a/1.jpg", "a/2.jpg", "a/3.png"]
    )
    none = record("Hello", "Hi")
    assert convert_records("llava", tmp_path, first, later, several, none) == [
        {"conversations": [turn(["train/a/1.jpg"], "Who?", "Ann."), turn([], "And now?", "Ben.")]},
        {"conversations": [turn([], "Hello", "Hi"), turn(["train/a/1.jpg"], "Who?", "Ben.")]},
        {
            "conversations": [
                turn(["train/a/1.jpg", "train/a/2.jpg"], "Who?", "Ann."),
                turn(["train/a/3.png"], "And here?", "Ben."),
            ]
        },
        {"conversations": [turn([], "Hello", "Hi")]},
    ]


def test_a_count_that_does_not_match_fails_the_row(tmp_path: Path) -> None:
    assert convert_records(
        "llava",
        tmp_path,
        record("Who?", "Ann.", image="a/1.jpg"),
        record("<image>\n<image>\nWho?", "Ann.", image="a/1.jpg"),
        record("<image>\nWho?", "Ann."),
    ) == [
        "1: it lists 1 image and has 0 <image> tags; each needs its own",
        "2: it lists 1 image and has 2 <image> tags; each needs its own",
        "3: it lists 0 images and has 1 <image> tag; each needs its own",
    ]


def test_untagged_images_are_shown_first_when_asked_for(tmp_path: Path) -> None:
    untagged = record("Who?", "Ann.", "Really?", "Yes.", image=["a/1.jpg", "a/2.jpg"])
    half = record("<image>\nWho?", "Ann.", image=["a/1.jpg", "a/2.jpg"])
    assert convert_records("llava", tmp_path, untagged, half, untagged="first") == [
        {"conversations": [turn(["train/a/1.jpg", "train/a/2.jpg"], "Who?", "Ann."), turn([], "Really?", "Yes.")]},
        "2: it lists 2 images and has 1 <image> tag; each needs its own",
    ]


def test_roles_out_of_order_fail_the_row(tmp_path: Path) -> None:
    human, gpt = {"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}
    tool, system = {"from": "function", "value": "{}"}, {"from": "system", "value": "Be brief."}
    said: list[list[Any]] = [
        [gpt],
        [human, human, gpt],
        [human],
        [human, gpt, human],
        [human, gpt, gpt],
        [human, tool],
        [human, gpt, system],
        [system],
        [human, {"value": "Ann."}],
        [human, {"from": "gpt"}],
        [human, {"from": "gpt", "value": 7}],
        [human, "Ann."],
    ]
    good = record("Who?", "Ann.")
    assert convert_records("llava", tmp_path, good, *({"conversations": messages} for messages in said))[1:] == [
        "2: message 1 is from the assistant, where the user is expected",
        "3: message 2 is from the user, where the assistant is expected",
        "4: it ends with message 1, from the user, without an answer",
        "5: it ends with message 3, from the user, without an answer",
        "6: message 3 is from the assistant, where the user is expected",
        "7: message 2 is from 'function'; a conversation can hold messages from 'human', 'gpt', 'system' only",
        "8: message 3 is a system prompt; only the first message can be one",
        "9: it has no messages besides its system prompt",
        "10: message 2 has no 'from', which says whose it is",
        "11: message 2 (assistant) has null as its content, where text is expected",
        "12: message 2 (assistant) has the number 7 as its content, where text is expected",
        "13: message 2 is the text 'Ann.', where an object is expected",
    ]


def test_a_text_that_is_empty_or_shows_what_it_can_not_fails_the_row(tmp_path: Path) -> None:
    assert convert_records(
        "llava",
        tmp_path,
        record("<image>\nWho?", "Ann.", image="a/1.jpg"),
        record(" \n", "Ann."),
        record("<image>\n", "Ann.", image="a/1.jpg"),
        record("Who?", ""),
        record("Who?", "<image>Ann.", image="a/1.jpg"),
        {"conversations": []},
        {"id": "x"},
    )[1:] == [
        "2: message 1 (user) has no text",
        "3: message 1 (user) has no text besides its images",
        "4: message 2 (assistant) has no text",
        "5: message 2 (assistant) shows images; only the user's messages can",
        "6: 'conversations' is a list, where a list of messages is expected",
        "7: it has no 'conversations', but 'id'",
    ]


def test_images_that_are_missing_or_no_paths_fail_the_row(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    asked = ("<image>\nWho?", "Ann.")
    found = convert_records(
        "llava",
        tmp_path,
        record(*asked, image="a/1.jpg"),
        record(*asked, image="a/9.jpg"),
        record(*asked, image="broken.jpg"),
        record(*asked, image=[7]),
        record(*asked, image="/data/1.jpg"),
        record(*asked, image="https://example.org/1.jpg"),
    )[1:]
    assert found[0] == f"2: its image 'a/9.jpg' is missing in {tmp_path / 'train.jsonl'}"
    assert found[1].startswith("3: ")
    assert found[2] == "4: in place of the path of its image stands the number 7"
    assert "'/data/1.jpg'" in found[3]
    assert "download it" in found[4]


def test_what_has_no_other_place_is_kept_in_metadata(tmp_path: Path) -> None:
    kept = record("Who?", "Ann.", source="coco", width=640, empty="", none=None)
    kept["conversations"][1]["lang"] = "en"
    system = {"conversations": [{"from": "system", "value": "Be brief."}, *record("Who?", "Ann.")["conversations"]]}
    assert convert_records("llava", tmp_path, kept, system) == [
        {
            "conversations": [turn([], "Who?", "Ann.")],
            "metadata": {"source": "coco", "width": 640, "messages": [{}, {"lang": "en"}]},
        },
        {"conversations": [turn([], "Who?", "Ann.")], "metadata": {"system": "Be brief."}},
    ]


def test_a_system_prompt_goes_where_it_is_asked_for(tmp_path: Path) -> None:
    system = {"conversations": [{"from": "system", "value": "Be brief."}, *record("Who?", "Ann.")["conversations"]]}
    assert convert_records("llava", tmp_path, system, system="prepend") == [
        {"conversations": [turn([], "Be brief.\n\nWho?", "Ann.")]}
    ]
    assert convert_records("llava", tmp_path, system, system="fail") == ["1: it has a system prompt (--system fail)"]


def test_an_image_within_a_text_fails_its_row_when_asked_for(tmp_path: Path) -> None:
    inside = record("Is <image> older?", "No.", image="a/1.jpg")
    outside = record("Is it older?\n<image>", "No.", image="a/1.jpg")
    assert convert_records("llava", tmp_path, inside, outside, inline="fail") == [
        "1: message 1 (user) has an image between pieces of text (--inline fail)",
        {"conversations": [turn(["train/a/1.jpg"], "Is it older?", "No.")]},
    ]


def test_a_list_and_lines_are_read_and_each_file_is_of_the_split_it_is_called_by(tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "b_val.json").write_text(json.dumps([record("1", "1"), record("2", "2")]))
    (tmp_path / "mix665k.json").write_text(json.dumps([record("3", "3")], indent=1))
    (tmp_path / "other.json").write_text('{"name": "no conversation"}')
    rows = listed("llava", tmp_path)
    assert [(row.split, row.name, row.line, row.id) for row in rows] == [
        ("val", "val/b_val-0000001", 1, "7"),
        ("val", "val/b_val-0000002", 2, "7"),
        ("train", "train/mix665k-0000001", 2, "7"),
    ]
    assert converted("llava", tmp_path)[0] == (
        "other.json: no LLaVA conversations: it has no 'conversations', but 'name'"
    )


def test_a_line_that_is_no_record_fails(tmp_path: Path) -> None:
    good = json.dumps(record("1", "1"))
    (tmp_path / "train.jsonl").write_bytes(f"{good}\n{good[:20]}\n[1]\n".encode() + b'{"id": "\xff"}\n')
    assert converted("llava", tmp_path)[1:] == [
        "2: it is not JSON (Input data was truncated); mend the file",
        "3: it is a list, where an object is expected; mend the file",
        "4: it is not UTF-8 (byte 0xff); save the file as UTF-8",
    ]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.json", "", "a.json: it is empty"),
        ("a.json", "[]", "a.json: it is empty"),
        ("a.csv", "a,b\n", "it has no .json or .jsonl file"),
        ("a.json", '[{"messages": []}]', "a.json: it has no 'conversations', but 'messages'"),
        ("a.json", '[{"images": [], "conversations": []}]', "a.json: a record has 'image' and not 'images'"),
        ("a.json", '[{"conversations": [{"role": "user"}]}]', "a.json: a message has no 'from', but 'role'"),
        ("a.json", '[{"chosen": "a", "conversations": []}]', "a.json: it is preference data ('chosen')"),
    ],
)
def test_what_is_no_llava_data_is_refused_before_the_first_row(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError) as error:
        converted("llava", tmp_path)
    assert str(error.value).startswith(f"{tmp_path} holds no LLaVA conversations; {reason}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'[{"conversations": [', "b.json is not JSON to its end ("),
        ("[]".encode("utf-16"), "b.json is UTF-16, where UTF-8 is expected; save it as UTF-8"),
        (b"hello\n", "b.json:1: it is not JSON ("),
        (b"[1, 2]", "b.json:1: it is the number 1, where an object is expected; mend the file"),
    ],
)
def test_a_file_that_can_not_be_read_stops_all(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps([record("1", "1")]))
    (tmp_path / "b.json").write_bytes(content)
    with pytest.raises(DataError) as error:
        converted("llava", tmp_path)
    assert str(error.value).startswith(reason)


def test_what_an_export_kept_is_read_and_must_fit(tmp_path: Path) -> None:
    said = ("Who?", "Ann.")
    assert convert_records(
        "llava",
        tmp_path,
        record(*said, phidata='{"source":"pets","answers":[["Ann.","Anna"]],"metadata":{"n":1}}', width=8),
        record(*said, phidata='{"answers":[]}'),
        record(*said, phidata='{"source":"pets","answers":[null,["Ann."]]}'),
        record(*said, phidata=7),
    ) == [
        {"conversations": [{**turn([], *said), "answers": ["Ann.", "Anna"]}], "metadata": {"n": 1, "width": 8}},
        "2: its 'phidata' is not what an export writes (Object missing required field `source`)",
        "3: its 'phidata' has answers for 2 turns, and it has 1",
        {"conversations": [turn([], *said)], "metadata": {"phidata": 7}},
    ]
