"""Captions out of COCO's json, tars, and folders."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from phidata import DataError, UsageError

from .sources import KITCHEN, PAGE, converted, turns, write

ASKED = "Describe the image in one sentence."


def coco(folder: Path) -> Path:
    images = [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"}, {"id": 3, "file_name": "3.jpg"}]
    said = [(1, "hello"), (1, " world\n"), (1, "hello"), (2, "test"), (9, "lost")]
    annotations = [{"id": k, "image_id": image, "caption": text} for k, (image, text) in enumerate(said)]
    write(folder / "captions_val2014.json", {"images": images, "annotations": annotations})
    write(folder / "val2014" / "1.jpg", KITCHEN)
    return folder


def test_an_image_is_a_row_with_all_its_captions(tmp_path: Path) -> None:
    assert turns("captions", coco(tmp_path)) == [
        [
            {
                "images": ["val/val2014/1.jpg"],
                "user": ASKED,
                "assistant": "hello",
                "answers": ["hello", "world"],
            }
        ],
        f"failed captions_val2014.json:2: its image '2.jpg' is missing in {tmp_path}",
        "failed captions_val2014.json: its captions are of the image 9, which is not under 'images'",
        "skipped captions_val2014.json:3: no caption",
    ]


def test_captions_and_images_without_an_id_do_not_belong_together(tmp_path: Path) -> None:
    path = coco(tmp_path) / "captions_val2014.json"
    content = json.loads(path.read_text())
    content["images"] = [{"id": 1, "file_name": "1.jpg"}, {"file_name": "1.jpg"}]
    content["annotations"] = [{"image_id": 1, "caption": "hello"}, {"caption": "whose?"}, 7]
    write(path, json.dumps(content, indent=0))
    assert turns("captions", tmp_path) == [
        [{"images": ["val/val2014/1.jpg"], "user": ASKED, "assistant": "hello", "answers": ["hello"]}],
        "failed captions_val2014.json:16: its caption can not be used: it has no image_id",
        "failed captions_val2014.json:19: its caption can not be used: it is the number 7, where an object is "
        "expected; mend the file",
        "skipped captions_val2014.json:7: no caption",
    ]


def test_a_link_to_nothing_fails_its_row(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"{name}.jpg", KITCHEN)
        write(tmp_path / f"{name}.txt", "hello")
    for name in ("a.txt", "b.jpg"):
        (tmp_path / name).unlink()
        (tmp_path / name).symlink_to("nowhere")
    assert turns("captions", tmp_path) == [
        "failed a.jpg: its .txt can not be read (No such file or directory)",
        "failed b.jpg: it can not be read (No such file or directory)",
        [{"images": ["train/0000002.0.jpg"], "user": ASKED, "assistant": "hello", "answers": ["hello"]}],
    ]


def test_a_caption_can_be_a_row(tmp_path: Path) -> None:
    found = converted("captions", coco(tmp_path), each="caption", prompt="What is shown?")
    assert [row["conversations"] for row in found[:2]] == [
        [{"images": ["val/val2014/1.jpg"], "user": "What is shown?", "assistant": text, "answers": [text]}]
        for text in ("hello", "world")
    ]


def write_tar(path: Path, **members: bytes) -> Path:
    """A tar of these members; `__` in a name is a dot, and `_` a slash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("__", ".").replace("_", "/"))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_tars_are_read_where_they_lie(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-000.tar", a1__jpg=KITCHEN, a1__txt=b"\xef\xbb\xbf A kitchen.\n", a2__jpg=KITCHEN)
    write_tar(tmp_path / "val-000.tar", d_b__png=PAGE, d_b__json=b'{"caption": ["A page.", "A letter."]}', c__txt=b"x")
    assert converted("captions", tmp_path, ids="source") == [
        {
            "id": "a1",
            "source": "captions",
            "conversations": [
                {
                    "images": ["train/0000000.0.jpg"],
                    "user": ASKED,
                    "assistant": "A kitchen.",
                    "answers": ["A kitchen."],
                }
            ],
        },
        {
            "id": "d/b",
            "source": "captions",
            "conversations": [
                {
                    "images": ["val/0000000.0.png"],
                    "user": ASKED,
                    "assistant": "A page.",
                    "answers": ["A page.", "A letter."],
                }
            ],
        },
        "failed val-000.tar/c: it has a text and no picture",
        "skipped train-000.tar/a2: no caption",
    ]


def test_the_captions_of_a_picture_in_a_tar_share_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", b__png=PAGE, b__json=b'{"caption": ["A page.", "A letter."]}')
    found = turns("captions", tmp_path, each="caption")
    assert [row[0]["images"] for row in found] == [["train/0000000.0.png"], ["train/0000000.0.png"]]


def test_a_sample_with_two_pictures_fails(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", b__0__jpg=KITCHEN, b__1__jpg=KITCHEN, b__txt=b"x", c__jpg=KITCHEN, c__txt=b"y")
    assert converted("captions", tmp_path, ids="source")[0] == (
        "failed a.tar/b: it has 2 pictures, where one is expected"
    )


def test_dots_in_the_name_of_a_file_belong_to_it(tmp_path: Path) -> None:
    for name in ("a.1", "a.2"):
        write(tmp_path / f"{name}.jpg", KITCHEN)
        write(tmp_path / f"{name}.txt", name)
    assert [row[0]["assistant"] for row in turns("captions", tmp_path)] == ["a.1", "a.2"]


def test_half_a_tar_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", b__jpg=KITCHEN, b__txt=b"x")
    write(path, path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"a\.tar is cut short: the member at byte 0 has 5132 bytes, 2488 of them"):
        turns("captions", tmp_path)


def test_a_compressed_tar_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tar.gz", b"x")
    with pytest.raises(UsageError, match=r"a\.tar\.gz in .* is a compressed tar, which has no places to read from"):
        turns("captions", tmp_path)


def test_a_picture_has_its_text_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "train" / "x.jpg", KITCHEN)
    write(tmp_path / "train" / "x.json", {"said": "A kitchen.", "nr": 1})
    write(tmp_path / "train" / "y.jpg", KITCHEN)
    write(tmp_path / "train" / "y.json", "[]")
    assert turns("captions", tmp_path, field="said") == [
        [
            {
                "images": ["train/0000000.0.jpg"],
                "user": ASKED,
                "assistant": "A kitchen.",
                "answers": ["A kitchen."],
            }
        ],
        "failed train/y.jpg: its .json is no JSON object (Expected `object`, got `array`)",
    ]
    with pytest.raises(UsageError) as refusal:
        turns("captions", tmp_path)
    assert str(refusal.value) == (
        "train/x.json has no 'caption' but 'said', 'nr'; say with --field which is the caption"
    )
