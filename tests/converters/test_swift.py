from __future__ import annotations

from pathlib import Path
from typing import Any

from .chats import convert_records, converted


def record(user: Any, assistant: str = "A dog.", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}], **more}


def turn(images: list[str], user: str, assistant: str = "A dog.") -> dict[str, Any]:
    return {"images": images, "user": user, "assistant": assistant}


def test_messages_queries_and_pairs_are_read(tmp_path: Path) -> None:
    query = {"query": "<image>And now?", "response": "A cat.", "history": [["Hello", "Hi"]], "images": ["a/2.jpg"]}
    pairs = {"system": "Be brief.", "conversation": [{"human": "Hello", "assistant": "Hi"}]}
    assert convert_records("swift", tmp_path, record("<image>What?", images=["a/1.jpg"]), query, pairs) == [
        {"conversations": [turn(["train/a/1.jpg"], "What?")]},
        {"conversations": [turn([], "Hello", "Hi"), turn(["train/a/2.jpg"], "And now?", "A cat.")]},
        {"conversations": [turn([], "Hello", "Hi")], "metadata": {"system": "Be brief."}},
    ]


def test_internvl_records_are_read(tmp_path: Path) -> None:
    said = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A dog."}]
    one = {"id": 0, "image": "a/1.jpg", "width": 8, "height": 6, "conversations": said}
    assert convert_records("swift", tmp_path, one) == [
        {"conversations": [turn(["train/a/1.jpg"], "What?")], "metadata": {"width": 8, "height": 6}}
    ]


def test_xtuners_markers_are_resolved_and_counted(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": "a/1.jpg", "image_wh": [8, 6]}}
    marked = record([image, {"type": "text", "text": "<IMG_CONTEXT>\nWhat?"}])
    short = record([image, image, {"type": "text", "text": "<IMG_CONTEXT>\nWhat?"}])
    film = record(
        [{"type": "video_url", "video_url": {"url": "frames/"}}, {"type": "text", "text": "<VIDEO_CONTEXT>What?"}]
    )
    assert convert_records("swift", tmp_path, marked, short, film) == [
        {"conversations": [turn(["train/a/1.jpg"], "What?")]},
        "2: message 1 (user) shows 2 images and has 1 <IMG_CONTEXT> tag; each needs its own",
        "3: its video 'frames/' is a folder of frames; list them as images",
    ]


def test_images_without_tags_fail_unless_asked_for(tmp_path: Path) -> None:
    untagged = record("What?", images=["a/1.jpg"])
    assert convert_records("swift", tmp_path, untagged) == [
        "1: it lists 1 image and has 0 <image> tags; each needs its own"
    ]
    assert convert_records("swift", tmp_path, untagged, untagged="first") == [
        {"conversations": [turn(["train/a/1.jpg"], "What?")]}
    ]


def test_a_history_that_is_none_and_regions_fail_the_row(tmp_path: Path) -> None:
    objects = {"ref": ["dog"], "bbox": [[1, 2, 3, 4]]}
    assert convert_records(
        "swift",
        tmp_path,
        record("What?"),
        {"query": "What?", "response": "A dog.", "history": [["Hello"]]},
        {"query": "What?", "response": None},
        record("<ref-object><bbox>?", objects=objects),
    )[1:] == [
        "2: 'history' is a list, where a list of [query, response] pairs is expected",
        "3: message 2 (assistant) has null as its content, where text is expected",
        "4: it has 'objects', which a conversation can not hold",
    ]


def test_xtuners_own_example(tmp_path: Path) -> None:
    convert_records("swift", tmp_path, record("What?"))
    example = Path(__file__).parent / "data" / "xtuner_image.jsonl"
    name = b"resource/mscoco_dog_000000319154.jpg"
    (tmp_path / "train.jsonl").write_bytes(example.read_bytes().replace(name, b"a/1.jpg"))
    (row,) = converted("swift", tmp_path)
    assert [len(each["images"]) for each in row["conversations"]] == [1, 0, 0, 0, 0]
    assert row["conversations"][0]["user"] == "图片中的狗是什么颜色？"
