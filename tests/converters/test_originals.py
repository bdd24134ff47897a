"""Hateful Memes and NLVR2 as their makers publish them, asked in the cauldron's words."""

from __future__ import annotations

from pathlib import Path

from .sources import KITCHEN, LEFT, RIGHT, converted, turns, write, write_lines


def test_a_meme_is_asked_about_in_the_cauldrons_words(tmp_path: Path) -> None:
    memes = [{"id": number, "img": f"img/{number}.png", "label": number % 2, "text": "x"} for number in (42953, 23058)]
    write_lines(tmp_path / "train.jsonl", *memes)
    for meme in memes:
        write(tmp_path / str(meme["img"]), KITCHEN)
    assert turns("hateful_memes", tmp_path) == [
        [
            {
                "images": ["train/img/42953.png.jpg"],
                "user": "Can this meme be harmful to a community?\nAnswer yes or no.",
                "assistant": "Yes.",
            }
        ],
        [
            {
                "images": ["train/img/23058.png.jpg"],
                "user": "Is the language used in this meme hateful?\nAnswer yes or no.",
                "assistant": "No.",
            }
        ],
    ]


def test_memes_are_in_the_splits_of_their_files_and_those_without_label_are_skipped(tmp_path: Path) -> None:
    write(tmp_path / "img" / "1.png", KITCHEN)
    for split in ("dev_seen", "train"):
        write_lines(tmp_path / f"{split}.jsonl", {"id": 1, "img": "img/1.png", "label": 0, "text": "x"})
    write_lines(tmp_path / "test_seen.jsonl", {"id": 2, "img": "img/2.png", "text": "x"})
    found = converted("hateful_memes", tmp_path)
    assert [row["id"] for row in found[:-1]] == ["train-0000000000", "dev_seen-0000000001"]
    assert found[-1] == "skipped test_seen.jsonl:1: no label"


def test_a_meme_with_another_label_fails(tmp_path: Path) -> None:
    write(tmp_path / "img" / "1.png", KITCHEN)
    write_lines(tmp_path / "train.jsonl", {"id": 1, "img": "img/1.png", "label": "hateful", "text": "x"})
    assert converted("hateful_memes", tmp_path) == [
        "failed train.jsonl:1: its 'label' is the text 'hateful', where 0 or 1 is expected"
    ]


PREFIX = "The first image is the image on the left, the second image is the image on the right. "


def statement(identifier: str, sentence: str, label: str | None) -> dict[str, str | None]:
    return {"identifier": identifier, "sentence": sentence, "label": label, "synset": "beer bottle"}


def test_the_statements_about_a_pair_are_turns_of_one_row(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "dev.json",
        statement("dev-850-2-0", "A path.", "True"),
        statement("dev-851-0-0", "No pictures.", "True"),
        statement("dev-850-2-1", "A {brace}.", "False"),
        statement("dev-850-2-2", "Unlabelled.", None),
        statement("dev-850-2-3", "Neither.", "Maybe"),
    )
    write(tmp_path / "images" / "dev-850-2-img0.png", LEFT)
    write(tmp_path / "images" / "dev-850-2-img1.png", RIGHT)
    images = ["dev/images/dev-850-2-img0.png", "dev/images/dev-850-2-img1.png"]
    assert turns("nlvr2", tmp_path, turns="split") == [
        [
            {
                "images": images,
                "user": PREFIX + 'Given the left and right images, does the statement "A path." hold true? '
                "Answer yes or no.",
                "assistant": "Yes.",
            }
        ],
        f"failed dev.json:2: its image 'dev-851-0-img0.png' is missing in {tmp_path}",
        [
            {
                "images": images,
                "user": PREFIX + 'Examine the images to the left and right. Is the description "A {brace}." accurate? '
                "Answer yes or no.",
                "assistant": "No.",
            }
        ],
        "failed dev.json:5: its 'label' is the text 'Maybe', where \"True\" or \"False\" is expected",
        "skipped dev.json:4: no label",
    ]
    write_lines(tmp_path / "dev.json", statement("dev-850-2-0", "A.", "True"), statement("dev-850-2-1", "B.", "False"))
    joined = converted("nlvr2", tmp_path, ids="source")
    assert [row["id"] for row in joined] == ["dev-850-2"]
    assert [(turn["images"], turn["assistant"]) for turn in joined[0]["conversations"]] == [
        (images, "Yes."),
        ([], "No."),
    ]


def test_pictures_are_found_in_folders_of_their_split(tmp_path: Path) -> None:
    write_lines(tmp_path / "nlvr2" / "data" / "train.json", statement("train-1-0-0", "A.", "True"))
    for k, data in enumerate((LEFT, RIGHT)):
        write(tmp_path / "images" / "train" / "17" / f"train-1-0-img{k}.png", data)
    row = converted("nlvr2", tmp_path / "nlvr2", images=tmp_path / "images")[0]
    assert row["conversations"][0]["images"] == ["train/17/train-1-0-img0.png", "train/17/train-1-0-img1.png"]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_lines(tmp_path / folder / "dev.json", statement("dev", "A.", "True"))
    reason = "its 'identifier' is 'dev', one such as 'dev-850-2-0' is expected"
    assert converted("nlvr2", tmp_path) == [f"failed a/dev.json:1: {reason}", f"failed b/dev.json:1: {reason}"]


def test_a_statement_without_a_proper_identifier_fails(tmp_path: Path) -> None:
    write_lines(tmp_path / "dev.json", statement("dev", "A.", "True"))
    assert converted("nlvr2", tmp_path) == [
        "failed dev.json:1: its 'identifier' is 'dev', one such as 'dev-850-2-0' is expected"
    ]
