"""A run without --data_dir converts its data once; the next one finds it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

import phidata
from phidata.errors import DataError, UsageError
from phitrain.config import DataPart
from phitrain.data import data_folder, ensure_data


def source(folder: Path, split: str, *questions: str, page: bool = True) -> Path:
    """DocVQA as it was published: questions about one page."""
    (folder / "documents").mkdir(parents=True)
    if page:
        Image.new("RGB", (30, 20), "white").save(folder / "documents" / "page.png")
    asked = [{"questionId": question, "question": question, "answers": ["a", "b"]} for question in questions]
    data = [{"image": "documents/page.png", **entry} for entry in asked]
    (folder / f"{split}_v1.0.json").write_text(json.dumps({"dataset_split": split, "data": data}))
    return folder


def users(folder: Path, split: str) -> list[str]:
    return [row.conversations[0].user for row in phidata.load(folder, split=split)]


def test_data_that_is_named_is_used_as_it_is() -> None:
    assert ensure_data(DataPart(dir="here", converter="docvqa")) == data_folder(DataPart(dir="here")) == Path("here")


def test_data_is_converted_once_by_one_process_and_found_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    part = DataPart(converter="docvqa", source=str(source(tmp_path / "source", "train", "Who?", "When?")))
    data = tmp_path / "data"
    with ThreadPoolExecutor(2) as processes:
        first, second = processes.map(lambda _: ensure_data(part, folder=data), range(2))
    assert first == second == data_folder(part, folder=data)
    assert users(first, "train") == ["Who?\nAnswer briefly.", "When?\nAnswer briefly."]
    assert sorted(entry.name for entry in data.iterdir()) == [f".{first.name}.lock", first.name]
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err.count(f"no --data_dir: converting docvqa to {first}, which later runs use too\n") == 1
    assert told.err.count(f"no --data_dir: using {first}, which was converted before\n") == 1


def test_another_choice_is_another_folder(tmp_path: Path) -> None:
    parts = [
        DataPart(converter="docvqa"),
        DataPart(converter="docvqa", source="a/b"),
        DataPart(converter="docvqa", convert_options=("--limit=2",)),
        DataPart(converter="docvqa", eval_source="a/b"),
        DataPart(converter="docvqa", eval_source="a/b", eval_convert_options=("--limit=2",)),
        DataPart(converter="nlvr2"),
    ]
    assert len({data_folder(part, folder=tmp_path) for part in parts}) == len(parts)
    assert data_folder(DataPart(converter="docvqa"), folder=tmp_path).name == "docvqa-69c4ceeb"


def test_the_splits_to_evaluate_can_be_from_another_source(tmp_path: Path) -> None:
    part = DataPart(
        converter="docvqa",
        source=str(source(tmp_path / "one", "train", "Who?", "When?")),
        eval_source=str(source(tmp_path / "other", "test", "Where?", "Why?")),
        convert_options=("--limit", "1"),
        eval_convert_options=("--split=val=test",),
    )
    place = ensure_data(part, folder=tmp_path / "data")
    assert users(place, "train") == ["Who?\nAnswer briefly."]
    assert users(place, "val") == ["Where?\nAnswer briefly.", "Why?\nAnswer briefly."]
    assert phidata.verify(place).ok


def test_rows_that_failed_are_not_passed_over_the_second_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    part = DataPart(converter="docvqa", source=str(source(tmp_path / "source", "train", "Who?", page=False)))
    with pytest.raises(DataError, match=r"^`phidata convert --from docvqa .*` has failed and says why above; --set"):
        ensure_data(part, folder=tmp_path / "data")
    assert "1 of 1 rows failed" in capfd.readouterr().err
    with pytest.raises(DataError, match=r"^1 rows failed when \S+ was converted, \S+failures\.jsonl says why; mend"):
        ensure_data(part, folder=tmp_path / "data")


def test_a_source_that_can_not_be_had_is_a_sentence_with_the_remedy(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    part = DataPart(converter="docvqa", source=str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match=r"says why above; --set data\.source=PATH names another source, --data_dir a"):
        ensure_data(part, folder=tmp_path / "data")
    assert "error: no source" in capfd.readouterr().err
    with pytest.raises(UsageError, match="--data_dir is missing; give the folder that `phidata convert` wrote"):
        ensure_data(DataPart(), folder=tmp_path / "data")


def test_a_changed_folder_is_not_trained_on(tmp_path: Path) -> None:
    part = DataPart(converter="docvqa", source=str(source(tmp_path / "source", "train", "Who?")))
    place = ensure_data(part, folder=tmp_path / "data")
    rows = place / "docvqa_train.jsonl"
    rows.write_text(rows.read_text().replace("Who?", "Why?"))
    with pytest.raises(
        DataError, match=r"docvqa_train\.jsonl is not the file that its manifest names; remove \S+, and"
    ):
        ensure_data(part, folder=tmp_path / "data")
    (place / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json can not be read .*; remove \S+, and it is converted again"):
        ensure_data(part, folder=tmp_path / "data")
