from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from phidata.errors import UsageError

from .chats import convert_records, converted
from .sources import turns


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def record(*user: Any, assistant: Any = "Ann.", **more: Any) -> dict[str, Any]:
    """A record whose one question has these parts."""
    said = [{"role": "user", "content": list(user)}, {"role": "assistant", "content": assistant}]
    return {"messages": said, **more}


def turn(images: list[str], user: str = "Who?") -> dict[str, Any]:
    return {"images": images, "user": user, "assistant": "Ann."}


def test_every_spelling_of_an_image_is_read(tmp_path: Path) -> None:
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": "a/1.jpg", "detail": "low"}},
        {"type": "image_url", "image_url": "a/1.jpg"},
        {"type": "image_url", "value": "a/1.jpg"},
        {"type": "image", "image": "a/1.jpg"},
        {"type": "image", "path": "a/1.jpg"},
        {"type": "image", "url": "a/1.jpg"},
    ]
    records = [record(part, text("Who?")) for part in parts]
    assert convert_records("messages", tmp_path, *records) == [
        {"conversations": [turn(["train/a/1.jpg"])]} for _ in parts
    ]


def test_a_part_without_a_file_takes_the_next_of_the_list(tmp_path: Path) -> None:
    trl = record({"type": "image", "text": None}, text("Who?"), {"type": "image"}, images=["a/1.jpg", "a/2.jpg"])
    indexed = record({"type": "image", "index": 0}, text("Who?"), {"type": "image", "index": 1}, images=["a/1.jpg"] * 2)
    swapped = record({"type": "image", "index": 1}, text("Who?"), {"type": "image", "index": 0}, images=["a/1.jpg"] * 2)
    more = record({"type": "image"}, text("Who?"), images=["a/1.jpg", "a/2.jpg"])
    assert convert_records("messages", tmp_path, trl, indexed, swapped, more) == [
        {"conversations": [turn(["train/a/1.jpg", "train/a/2.jpg"])]},
        {"conversations": [turn(["train/a/1.jpg", "train/a/1.jpg"])]},
        "3: image 1 is shown where 0 is expected; sort the list",
        "4: it lists 2 images and has 1 image part; each needs its own",
    ]


def test_a_data_uri_is_an_image_of_the_row(tmp_path: Path) -> None:
    convert_records("messages", tmp_path, record(text("Who?")))
    encoded = base64.b64encode((tmp_path / "a/3.png").read_bytes()).decode()
    good = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}}
    bad = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    found = convert_records("messages", tmp_path, record(good, good, text("Who?")), record(bad, text("Who?")))
    assert found[0] == {"conversations": [turn(["train/train-0000001.0.png", "train/train-0000001.1.png"])]}
    assert found[1].startswith("2: ")


def test_texts_are_joined_and_stand_for_themselves(tmp_path: Path) -> None:
    literal = record(text("Is <image> a tag? "), text("<|end|>"))
    system = record(text("Who?"), assistant=[text("An"), text("n.")])
    system["messages"].insert(0, {"role": "developer", "content": "Be brief."})
    prompted = {
        "prompt": [{"role": "user", "content": "Who?"}],
        "completion": [{"role": "assistant", "content": "Ann."}],
    }
    assert convert_records("messages", tmp_path, literal, system, prompted) == [
        {"conversations": [turn([], "Is <image> a tag? <|end|>")]},
        {"conversations": [turn([])], "metadata": {"system": "Be brief."}},
        {"conversations": [turn([])]},
    ]


def test_an_image_between_texts_fails_its_row_when_asked_for(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "a/1.jpg"}}
    between = record(text("Is this"), image, text("Ann?"))
    beside = record(image, text("Who?"), image)
    assert convert_records("messages", tmp_path, between, beside, inline="fail") == [
        "1: message 1 (user) has an image between pieces of text (--inline fail)",
        {"conversations": [turn(["train/a/1.jpg", "train/a/1.jpg"])]},
    ]


def test_a_part_that_is_none_fails_the_row(tmp_path: Path) -> None:
    assert convert_records(
        "messages",
        tmp_path,
        record(text("Who?")),
        record({"type": "input_audio"}, text("Who?")),
        record({"type": "text", "text": None}),
        record("Who?"),
        record({"type": "image", "image": 7}, text("Who?")),
        {"messages": [{"role": "user", "content": "Look"}, {"role": "tool", "content": "{}"}]},
    )[1:] == [
        "2: message 1 (user) has a part the text 'input_audio'; a part is of type text, image or video",
        "3: message 1 (user) has a text part with null as its text",
        "4: message 1 (user) has a part null; a part is of type text, image or video",
        "5: in place of the path of its image stands the number 7",
        "6: message 2 is from 'tool'; a conversation can hold messages from "
        "'user', 'assistant', 'system', 'developer' only",
    ]


def test_markers_of_another_trainer_are_not_taken_for_text(tmp_path: Path) -> None:
    marked = record({"type": "image_url", "image_url": {"url": "a/1.jpg"}}, text("<IMG_CONTEXT>\nWho?"))
    with pytest.raises(UsageError, match="a text has markers for its images \\(see --from swift\\)"):
        convert_records("messages", tmp_path, marked)


def test_llamafactorys_typed_demo(tmp_path: Path) -> None:
    data = tmp_path / "data"
    convert_records("messages", data, record(text("Who?")))
    demo = Path(__file__).parent / "data" / "v1_multimodal_demo.jsonl"
    (data / "train.jsonl").write_bytes(demo.read_bytes().replace(b"mllm_demo_data/", b"a/"))
    found = converted("messages", data)
    assert [len(row["conversations"]) for row in found] == [2, 2]
    assert found[0]["conversations"][1] == {
        "images": ["train/a/1.jpg"],
        "user": "What are they doing?",
        "assistant": "They are celebrating on the soccer field.",
    }
    assert json.loads(demo.read_bytes().splitlines()[0])["messages"][2]["content"][1]["type"] == "image_url"


def test_a_record_that_is_too_deep_fails_alone(tmp_path: Path) -> None:
    good = '{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}'
    (tmp_path / "a.jsonl").write_text(good + "\n" + good[:-1] + ', "x": ' + "[" * 3000 + "\n")
    told = turns("messages", tmp_path)
    assert told[0] == [{"images": [], "user": "u", "assistant": "a"}]
    assert [text.partition(" (")[0] for text in told[1:]] == ["failed a.jsonl:2: it is not JSON"]
