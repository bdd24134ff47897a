"""Folders of classes, and the official lists of UCF-101."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from phidata import UsageError

from .sources import KITCHEN, converted, turns, write

CLIP = Path(__file__).parents[1] / "media" / "videos" / "video.avi"


def write_clips(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CLIP, root / file)


def asked(kind: str, classes: str) -> str:
    return f"Classify the {kind} into one of the following classes: {classes}."


def test_pictures_in_split_folders(tmp_path: Path) -> None:
    for file in ("val/rose/1.jpg", "train/daisy/2.JPG", "train/rose/1.jpg", "train/rose/.hidden.jpg"):
        write(tmp_path / file, KITCHEN)
    write(tmp_path / "train" / "rose" / "notes.txt", "x")
    write(tmp_path / "README.md", "x")
    write(tmp_path / "loose.jpg", KITCHEN)
    user = asked("image", "daisy, rose")
    assert converted("image-folder", tmp_path) == [
        {
            "id": f"{image.partition('/')[0]}-000000000{number}",
            "source": "image-folder",
            "conversations": [{"images": [image], "user": user, "assistant": image.split("/")[1]}],
        }
        for number, image in enumerate(["train/daisy/2.JPG", "train/rose/1.jpg", "val/rose/1.jpg"])
    ] + [
        "skipped train/rose/.hidden.jpg: hidden file",
        "skipped train/rose/notes.txt: not image",
        "skipped README.md: not image",
        "skipped loose.jpg: not in <split>/<class>/",
    ]


def test_class_folders_alone_are_the_split_train(tmp_path: Path) -> None:
    for file in ("flowers/rose/1.jpg", "flowers/daisy/1.jpg"):
        write(tmp_path / file, KITCHEN)
    assert turns("image-folder", tmp_path / "flowers", question=r"Which of\n{classes}?") == [
        [{"images": ["train/daisy/1.jpg"], "user": "Which of\ndaisy, rose?", "assistant": "daisy"}],
        [{"images": ["train/rose/1.jpg"], "user": "Which of\ndaisy, rose?", "assistant": "rose"}],
    ]


def test_videos_of_any_container(tmp_path: Path) -> None:
    write_clips(tmp_path, "set/test/run/a.mp4", "set/train/run/a.avi", "set/train/run/a.mov", "set/train/jump/b.mkv")
    assert turns("video-folder", tmp_path) == [
        [{"images": [f"{name}.0.jpg", f"{name}.1.jpg"], "user": asked("video", "jump, run"), "assistant": label}]
        for name, label in [
            ("train/jump/b", "jump"),
            ("train/run/a.avi", "run"),
            ("train/run/a.mov", "run"),
            ("test/run/a", "run"),
        ]
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            [],
            "{} holds no image file in a folder; expected are image files as <split>/<class>/* or <class>/*, "
            "it has nothing",
        ),
        (
            ["1.jpg", "notes.txt"],
            "{} holds no image file in a folder; expected are image files as <split>/<class>/* or <class>/*, "
            "it has '1.jpg', 'notes.txt'",
        ),
        (
            ["cat/1.jpg", "dog/2019/1.jpg"],
            "{} has image files at different depths, in 'cat' and in 'dog/2019'; "
            "expected are image files as <split>/<class>/* or <class>/*",
        ),
    ],
)
def test_another_layout_is_refused(tmp_path: Path, files: list[str], message: str) -> None:
    (tmp_path / "source").mkdir()
    for file in files:
        write(tmp_path / "source" / file, KITCHEN)
    with pytest.raises(UsageError) as refusal:
        converted("image-folder", tmp_path / "source")
    assert str(refusal.value) == message.format(tmp_path / "source")


def test_a_question_names_nothing_but_the_classes(tmp_path: Path) -> None:
    write(tmp_path / "rose" / "1.jpg", KITCHEN)
    with pytest.raises(UsageError) as refusal:
        converted("image-folder", tmp_path, question="{clases}?")
    assert str(refusal.value) == "--question '{clases}?': there is no 'clases'; did you mean 'classes'?"


def test_ucf101_is_divided_by_the_list_that_is_asked_for(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips", "Run/v_Run_g01_c01.avi", "Run/v_Run_g02_c01.avi")
    for number, (train, test) in {"01": (1, 2), "02": (2, 1)}.items():
        write(tmp_path / "lists" / f"trainlist{number}.txt", f"Run/v_Run_g0{train}_c01.avi 1\n")
        write(tmp_path / "lists" / f"testlist{number}.txt", f"Run/v_Run_g0{test}_c01.avi\n")

    def images(number: str) -> list[str]:
        found = turns("ucf101", tmp_path / "lists", images=tmp_path / "clips", list=number, num_frames=1)
        return [row[0]["images"][0] for row in found]

    assert images("01") == ["train/Run/v_Run_g01_c01.0.jpg", "test/Run/v_Run_g02_c01.0.jpg"]
    assert images("02") == ["train/Run/v_Run_g02_c01.0.jpg", "test/Run/v_Run_g01_c01.0.jpg"]
    with pytest.raises(UsageError, match=r"with 'trainlist03\.txt', 'testlist03\.txt'; it has 'testlist01\.txt'"):
        images("03")


def test_a_class_whose_name_is_not_utf8_fails_alone(tmp_path: Path) -> None:
    write(tmp_path / "rose" / "1.jpg", KITCHEN)
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    (folder / "1.jpg").write_bytes(KITCHEN)
    first, second = converted("image-folder", tmp_path)
    assert first["conversations"][0]["user"] == asked("image", "rose")
    assert second.endswith("its name is not UTF-8; rename the file")
