"""DocVQA in its three forms: the excerpt on the hub, the original, the cauldron's subset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .sources import (
    CAULDRON,
    EXCERPT,
    PAGE,
    cauldron_row,
    converted,
    excerpt_row,
    turns,
    write,
    write_parquet,
)


def test_the_excerpt_becomes_what_the_published_script_asks(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "data" / "train-00000-of-00001-0a1b.parquet",
        [excerpt_row("train_0", "Who?", ["Ann", "ANN", "Ann"]), excerpt_row("train_1", "When?", ["1986"])],
        EXCERPT,
    )
    write_parquet(
        tmp_path / "data" / "test-00000-of-00001.parquet",
        [excerpt_row("test_0", "Where?", ["here"]), excerpt_row("test_1", "Why?", [])],
        EXCERPT,
    )
    assert converted("docvqa", tmp_path) == [
        {
            "id": "train-0000000000",
            "source": "docvqa",
            "conversations": [
                {
                    "images": ["train/0000000.0.png"],
                    "user": "Who?\nAnswer briefly.",
                    "assistant": "Ann",
                    "answers": ["Ann", "ANN"],
                }
            ],
        },
        {
            "id": "train-0000000001",
            "source": "docvqa",
            "conversations": [
                {
                    "images": ["train/0000001.0.png"],
                    "user": "When?\nAnswer briefly.",
                    "assistant": "1986",
                    "answers": ["1986"],
                }
            ],
        },
        {
            "id": "val-0000000002",
            "source": "docvqa",
            "conversations": [
                {
                    "images": ["val/0000000.0.png"],
                    "user": "Where?\nAnswer briefly.",
                    "assistant": "here",
                    "answers": ["here"],
                }
            ],
        },
        "skipped data/test-00000-of-00001.parquet:2: no answers",
    ]


def test_ids_of_the_excerpt_can_be_kept(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train.parquet", [excerpt_row("train_7", "Who?", ["Ann"])], EXCERPT)
    assert [row["id"] for row in converted("docvqa", tmp_path, ids="source")] == ["train_7"]


def original(split: str, *questions: dict[str, Any]) -> dict[str, Any]:
    return {"dataset_name": "docvqa", "dataset_version": "1.0", "dataset_split": split, "data": list(questions)}


def test_the_original_shares_the_page_between_its_questions(tmp_path: Path) -> None:
    page = {"image": "documents/a_1.png", "docId": 1}
    asked = [
        {"questionId": 5, "question": "Who?", **page, "answers": ["Ann", "A."]},
        {"questionId": 6, "question": "When?", **page, "answers": ["1986"]},
    ]
    write(tmp_path / "val" / "val_v1.0.json", original("val", *asked))
    write(tmp_path / "val" / "documents" / "a_1.png", PAGE)
    write(tmp_path / "test" / "test_v1.0.json", original("test", {"questionId": 7, "question": "Why?", **page}))
    assert turns("docvqa", tmp_path) == [
        [
            {
                "images": ["val/documents/a_1.png"],
                "user": "Who?\nAnswer briefly.",
                "assistant": "Ann",
                "answers": ["Ann", "A."],
            }
        ],
        [
            {
                "images": ["val/documents/a_1.png"],
                "user": "When?\nAnswer briefly.",
                "assistant": "1986",
                "answers": ["1986"],
            }
        ],
        "skipped test/test_v1.0.json:1: no answers",
    ]


def test_the_cauldrons_questions_stand_as_they_are_one_a_row(tmp_path: Path) -> None:
    rows = [cauldron_row("DocVQA", ("Who?\nKeep it short.", "Ann."), ("When?", "1986."), images=[PAGE])]
    write_parquet(tmp_path / "docvqa" / "train-00000-of-00001.parquet", rows, CAULDRON)
    write_parquet(tmp_path / "nlvr2" / "train-00000-of-00001.parquet", [], CAULDRON)
    assert turns("docvqa", tmp_path) == [
        [{"images": ["train/0000000.0.png"], "user": "Who?\nKeep it short.", "assistant": "Ann."}],
        [{"images": ["train/0000000.0.png"], "user": "When?", "assistant": "1986."}],
    ]
