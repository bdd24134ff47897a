"""Each of the sets in its maker's layout, told apart by what its files hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phidata import UsageError

from .sources import KITCHEN, converted, turns, write


def vqav2(folder: Path) -> None:
    asked = [{"image_id": 42, "question": f"{k}?", "question_id": k} for k in (1, 2)]
    head: dict[str, Any] = {"info": {}, "data_type": "mscoco", "data_subtype": "val2014"}
    write(folder / "v2_OpenEnded_mscoco_val2014_questions.json", {**head, "questions": asked})
    given = [{"answer": answer, "answer_id": k} for k, answer in enumerate(["down", "at table", "at table", "plate"])]
    annotation = {"question_id": 1, "image_id": 42, "multiple_choice_answer": "at table", "answers": given}
    write(folder / "v2_mscoco_val2014_annotations.json", {**head, "annotations": [annotation]})
    write(folder / "val2014" / "COCO_val2014_000000000042.jpg", KITCHEN)


def textvqa(folder: Path) -> None:
    asked = {"question_id": 3, "image_id": "0054c9", "question": "Which?", "answers": ["nokia", "toshiba", "nokia"]}
    write(folder / "TextVQA_0.5.1_val.json", {"dataset_type": "val", "data": [asked]})
    write(folder / "train_images" / "0054c9.jpg", KITCHEN)


def aokvqa(folder: Path) -> None:
    asked = {"split": "val", "image_id": 42, "question_id": "22Me", "question": "Why?", "choices": ["a", "b"]}
    write(folder / "aokvqa_v1p0_val.json", [{**asked, "correct_choice_idx": 0, "direct_answers": ["b", "a", "a"]}])
    write(folder / "val2017" / "000000000042.jpg", KITCHEN)


def gqa(folder: Path) -> None:
    asked = {"imageId": "n578564", "question": "Is it?", "answer": "no", "fullAnswer": "No, it is not."}
    write(folder / "val_balanced_questions.json", {"02930152": asked})
    write(folder / "images" / "n578564.jpg", KITCHEN)


def visual_genome(folder: Path) -> None:
    asked = [{"qa_id": k, "image_id": 4, "question": f"{k}?", "answer": "Glass."} for k in (7, 8)]
    write(folder / "question_answers.json", [{"id": 4, "qas": asked}, {"id": 5, "qas": []}])
    write(folder / "VG_100K" / "4.jpg", KITCHEN)


def turn(image: str, user: str, *answers: str) -> list[dict[str, Any]]:
    return [{"images": [image], "user": f"{user}\nAnswer briefly.", "assistant": answers[0], "answers": list(answers)}]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (
            vqav2,
            [
                turn("val/val2014/COCO_val2014_000000000042.jpg", "1?", "at table", "down", "plate"),
                "skipped v2_OpenEnded_mscoco_val2014_questions.json:2: no answers",
            ],
        ),
        (textvqa, [turn("val/train_images/0054c9.jpg", "Which?", "nokia", "toshiba")]),
        (aokvqa, [turn("val/val2017/000000000042.jpg", "Why?", "a", "b")]),
        (gqa, [turn("val/images/n578564.jpg", "Is it?", "no")]),
        (
            visual_genome,
            [
                turn("train/VG_100K/4.jpg", "7?", "Glass."),
                turn("train/VG_100K/4.jpg", "8?", "Glass."),
                "skipped question_answers.json:2: no questions",
            ],
        ),
    ],
)
def test_a_set_is_recognised_and_its_best_answer_comes_first(tmp_path: Path, make: Any, expected: Any) -> None:
    make(tmp_path)
    assert turns("vqa", tmp_path) == expected


def test_choices_are_lettered(tmp_path: Path) -> None:
    both = {"choices": ["solid", "gas"], "answer": 1, "hint": "Look.", "question": "What is air?"}
    problems = {
        "18": {**both, "hint": "", "image": None, "split": "test"},
        "17": {**both, "image": "image.png", "split": "train"},
    }
    write(tmp_path / "problems.json", problems)
    write(tmp_path / "images" / "train" / "17" / "image.png", KITCHEN)
    write(tmp_path / "images" / "train" / "18" / "image.png", b"another's")
    asked = "What is air?\nA. solid\nB. gas\nAnswer with the letter."
    assert turns("vqa", tmp_path) == [
        [
            {
                "images": ["train/images/train/17/image.png.jpg"],
                "user": f"Look.\n{asked}",
                "assistant": "B",
                "answers": ["B"],
            }
        ],
        [{"images": [], "user": asked, "assistant": "B", "answers": ["B"]}],
    ]


def test_equal_choices_keep_their_letters_and_odd_ones_fail(tmp_path: Path) -> None:
    problem = {"question": "?", "hint": "", "image": None, "split": "test"}
    write(
        tmp_path / "problems.json",
        {
            "1": {**problem, "choices": ["a", "a", "b"], "answer": 2},
            "2": {**problem, "choices": ["a"], "answer": 1},
            "3": {**problem, "choices": ["a"] * 27, "answer": 1},
        },
    )
    assert [row if isinstance(row, str) else row[0]["assistant"] for row in turns("vqa", tmp_path)] == [
        "C",
        "failed problems.json:1: its 'answer' is the number 1, where the number of one of 1 choices is expected",
        "failed problems.json:1: it has 27 choices, more than there are letters",
    ]


def test_the_prompt_is_a_template(tmp_path: Path) -> None:
    gqa(tmp_path)
    assert turns("vqa", tmp_path, prompt="Q: {question}\\nA:")[0][0]["user"] == "Q: Is it?\nA:"
    with pytest.raises(UsageError) as refusal:
        turns("vqa", tmp_path, prompt="{query}?")
    assert str(refusal.value) == "--prompt '{query}?': there is no 'query'; there are 'question'"


def test_where_several_sets_lie_one_has_to_be_named(tmp_path: Path) -> None:
    gqa(tmp_path)
    textvqa(tmp_path)
    with pytest.raises(UsageError) as refusal:
        turns("vqa", tmp_path)
    assert str(refusal.value) == f"{tmp_path} has files of textvqa and gqa; pass --layout to say which to read"
    assert turns("vqa", tmp_path, layout="gqa") == [turn("val/images/n578564.jpg", "Is it?", "no")]


def test_rows_keep_the_ids_of_their_questions(tmp_path: Path) -> None:
    gqa(tmp_path)
    assert [row["id"] for row in converted("vqa", tmp_path, ids="source")] == ["02930152"]


def test_test_questions_are_about_test_pictures(tmp_path: Path) -> None:
    asked = {"image_id": 1, "question": "?", "question_id": 9}
    write(tmp_path / "v2_OpenEnded_mscoco_test-dev2015_questions.json", {"questions": [asked]})
    write(tmp_path / "annotations.json", {"annotations": [{"question_id": 9, "answers": [{"answer": "x"}]}]})
    write(tmp_path / "test2015" / "COCO_test2015_000000000001.jpg", KITCHEN)
    assert turns("vqa", tmp_path) == [turn("test/test2015/COCO_test2015_000000000001.jpg", "?", "x")]


def test_answers_that_can_not_be_read_fail_their_own_question(tmp_path: Path) -> None:
    vqav2(tmp_path)
    questions = [{"image_id": 42, "question": f"{k}?", "question_id": k} for k in (1, 2)]
    questions.append({"image_id": 42, "question": "Which?"})
    write(tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": questions})
    annotations = [{"question_id": 1, "answers": [{"answer": "down"}]}, {"question_id": 2, "answers": 7}]
    annotations += [{"answers": [{"answer": "up"}]}, 7]  # type: ignore[list-item]
    write(tmp_path / "v2_mscoco_val2014_annotations.json", {"annotations": annotations})
    file = "failed v2_mscoco_val2014_annotations.json"
    assert turns("vqa", tmp_path) == [
        f"{file}:3: these answers are of no question: it has no question_id",
        f"{file}:4: these answers are of no question: it is the number 7, where an object is expected; mend the file",
        turn("val/val2014/COCO_val2014_000000000042.jpg", "1?", "down"),
        "failed v2_OpenEnded_mscoco_val2014_questions.json:2: v2_mscoco_val2014_annotations.json:2: its 'answer' is "
        "the number 7, where a text is expected",
        "skipped v2_OpenEnded_mscoco_val2014_questions.json:3: no answers",
    ]
