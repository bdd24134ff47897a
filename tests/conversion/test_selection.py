"""Which rows go into which split."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import phidata
from phidata import UsageError
from phidata.conversion.selection import Choice, Selection

from .conftest import read_json, read_rows, run

TEN = ["train"] * 8 + ["test"] * 2


def chosen(rows: list[str], **options: object) -> list[str]:
    """The new split of each row, or `-` for one that is left out."""
    selection = Selection(**options)  # type: ignore[arg-type]
    choices = list(selection.choose(lambda: rows, Counter(rows), "here"))
    taken = [choice.split if choice.split and not choice.reason else "-" for choice in choices]
    assert selection.num_chosen(Counter(rows), "here") == len(taken) - taken.count("-")
    return taken


def test_without_a_selection_every_row_keeps_its_split() -> None:
    assert chosen(TEN) == TEN


@pytest.mark.parametrize(
    ("expression", "places"),
    [
        ("train", range(8)),
        ("train[:3]", range(3)),
        ("train[6:]", range(6, 8)),
        ("train[-2:]", range(6, 8)),
        ("train[:-2]", range(6)),
        ("train[25%:50%]", range(2, 4)),
        ("train[2:4]", range(2, 4)),
        ("train[:99]", range(8)),
        ("train+test", range(10)),
        ("train[7:] + test[:1]", range(7, 9)),
        ("train[:]", range(8)),
    ],
)
def test_an_expression_takes_rows_as_python_slices_do(expression: str, places: range) -> None:
    assert chosen(TEN, splits={"x": expression}) == ["x" if place in places else "-" for place in range(10)]


def test_rows_that_no_expression_takes_are_left_out_with_the_reason() -> None:
    found = Selection(splits={"val": "train[:7]"}).choose(lambda: TEN, Counter(TEN), "here")
    assert list(found)[7:] == [Choice(None, "in no --split")] * 3


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"val": "dev"}, "no split 'dev' in here; it has 'test', 'train'"),
        ({"val": "train[8:]"}, "--split val=train[8:] takes none of the rows of here"),
        ({"a": "train[:5]", "b": "train[4:]"}, "--split b=train[4:] takes rows that are in 'a' already"),
        ({"val": "train[a:b]"}, "--split val=train[a:b] can not be read; write for example val=train[:500] or a+b"),
        ({"val": ""}, "--split val= can not be read"),
        ({"my split": "train"}, "'my split' can not be the name of a split"),
    ],
)
def test_an_expression_that_makes_no_sense_is_refused(splits: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        chosen(TEN, splits=splits)
    assert str(refusal.value).startswith(message)


def test_a_limit_takes_the_first_rows_of_each_split() -> None:
    assert chosen(TEN, limit=1) == ["train", *"-------", "test", "-"]


def test_a_sample_is_drawn_by_the_seed_and_does_not_depend_on_the_other_rows() -> None:
    first = chosen(TEN, sample=3, seed=7)
    assert first.count("train") == 3
    assert first.count("test") == 2
    assert chosen(TEN, sample=3, seed=7) == first
    assert {tuple(chosen(TEN, sample=3, seed=seed)) for seed in range(20)} != {tuple(first)}
    assert chosen(TEN[:8], sample=3, seed=7) == first[:8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "--limit is 0; take at least 1 row of each split"),
        ({"sample": -1}, "--sample is -1; take at least 1 row of each split"),
        ({"limit": 1, "sample": 1}, "choose one of --limit and --sample"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Selection(**options)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(message)


DEFAULTS = {"train": "train[500:]", "val": "train[:500]"}


def test_a_converters_own_splits_are_used_when_they_fit() -> None:
    assert Selection().with_defaults(DEFAULTS, {"train": 501}).splits == DEFAULTS


@pytest.mark.parametrize("sizes", [{"train": 500}, {"train": 900, "test": 9}, {"val": 900}])
def test_a_converters_own_splits_are_not_used_when_they_do_not_fit(sizes: dict[str, int]) -> None:
    assert Selection().with_defaults(DEFAULTS, sizes).splits == {}


def test_asked_for_splits_win_over_the_converters_own() -> None:
    assert Selection(splits={"a": "train"}).with_defaults(DEFAULTS, {"train": 501}).splits == {"a": "train"}


def test_the_ledger_accounts_for_every_row_that_is_left_out(tmp_path: Path, six_clips: Path) -> None:
    arguments = ["--split", "fit=train[:2]", "--split", "dev=val+test", "--limit", "1", "--num-frames", "1"]
    code, table, _ = run("--from", "ucf101", "--source", six_clips, "--out", tmp_path / "out", *arguments)
    assert code == 0
    assert table.splitlines()[:6] == [
        "         read   written   skipped    failed",
        "fit         2         1         1         0",
        "dev         3         1         2         0",
        "all         6         2         4         0",
        "skipped: 3 (beyond --limit 1)",
        "skipped: 1 (in no --split)",
    ]
    assert [json.loads(line) for line in (tmp_path / "out" / "ledger.jsonl").read_text().splitlines()] == [
        {"split": "fit", "outcome": "written", "count": 1},
        {"split": "dev", "outcome": "written", "count": 1},
        {"split": "fit", "outcome": "skipped", "count": 1, "reason": "beyond --limit 1"},
        {"split": None, "outcome": "skipped", "count": 1, "reason": "in no --split"},
        {"split": "dev", "outcome": "skipped", "count": 2, "reason": "beyond --limit 1"},
    ]
    assert read_json(tmp_path / "out" / "manifest.json")["options"]["splits"] == {"fit": "train[:2]", "dev": "val+test"}
    [row] = read_rows(tmp_path / "out", "dev")
    assert row["id"] == "dev-0000000003"
    assert row["conversations"][0]["images"] == ["dev/val/Run/v_Run_g02_c01.0.jpg"]


def test_failed_rows_can_count_as_skipped(tmp_path: Path, six_clips: Path) -> None:
    (six_clips / "val" / "Run" / "v_Run_g02_c01.avi").write_bytes(b"")
    manifest = phidata.convert("ucf101", source=six_clips, out=tmp_path / "out", num_frames=1, on_error="skip")
    assert (manifest.rows.written, manifest.rows.skipped, manifest.rows.failed) == (5, 1, 0)
    assert manifest.rows.skip_reasons == {"can not be converted (--on-error skip)": 1}
    failure = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert failure["reason"] == "the file is empty"


def test_the_manifest_tells_the_converters_own_splits(tmp_path: Path, six_clips: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import replace\n"
        "from phidata.converters.ucf101 import Ucf101\n"
        "class Own(Ucf101):\n"
        '    about = replace(Ucf101.about, splits={"fit": "train+val", "dev": "test"})\n'
        "converter = Own()\n"
    )
    manifest = phidata.convert(str(own), source=six_clips, out=tmp_path / "out", num_frames=1)
    assert manifest.options["splits"] == {"fit": "train+val", "dev": "test"}
    assert {split: ledger.written for split, ledger in manifest.splits.items()} == {"fit": 4, "dev": 2}
    manifest = phidata.convert(
        str(own), source=six_clips, out=tmp_path / "other", num_frames=1, splits={"all": "train+val+test"}
    )
    assert manifest.options["splits"] == {"all": "train+val+test"}
