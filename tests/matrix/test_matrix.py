"""Cells of the matrix that hold every allowed pair of values, each against the plain loop."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.conftest import Run

from .cells import A100, CPU, V100, Cell, all_cells, refusal, resolved, runs_on
from .data import write_rows
from .pairwise import pairs_of, pairwise
from .tolerances import complaints

RUNS = runs_on(CPU)
CHOSEN = pairwise(RUNS)


def cell(**values: Any) -> Cell:
    plain = {"strategy": "full", "precision": "fp32", "attention": "eager", "zero": 0, "offload": "none"}
    return Cell(**{**plain, "checkpointing": "off", "processes": 1, "data": "text only", **values})


def test_the_chosen_cells_have_every_pair_of_values_that_runs() -> None:
    assert set().union(*map(pairs_of, CHOSEN)) == set().union(*map(pairs_of, RUNS))


def test_every_cell_is_run_or_refused_with_a_remedy() -> None:
    cells = list(all_cells())
    refused = [sentence for one in cells if (sentence := refusal(one, CPU)) is not None]
    assert (len(cells), len(refused), len(RUNS)) == (17280, 9600, 7040)
    assert all("; use " in sentence for sentence in refused)


def test_flash_attention_is_for_half_precision_on_newer_gpus() -> None:
    assert refusal(cell(precision="bf16", attention="flash_attention_2"), A100) is None
    assert "capability 8.0 or newer" in str(refusal(cell(precision="fp16", attention="flash_attention_2"), V100))
    assert "half precision only" in str(refusal(cell(attention="flash_attention_2"), A100))


def test_an_older_gpu_gets_fp16_and_sdpa_and_is_told() -> None:
    config, notes = resolved(cell(precision="auto", attention="auto"), V100)
    assert (config.model.precision, config.model.attention) == ("fp16", "sdpa")
    assert any("no bf16" in note for note in notes)
    assert any("attention is sdpa" in note for note in notes)


@pytest.mark.parametrize("processes", [1, 2])
def test_cells_train_as_the_plain_loop_does(run: Run, model_folder: Path, tmp_path: Path, processes: int) -> None:
    data, cells, results = write_rows(tmp_path / "data"), tmp_path / "cells.json", tmp_path / "results.jsonl"
    chosen = [asdict(one) for one in CHOSEN if one.processes == processes]
    cells.write_text(json.dumps(chosen))
    done = run("-m", "tests.matrix.running", model_folder, data, cells, results, processes=processes)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in results.read_text().splitlines()]
    assert [result["cell"] for result in found] == chosen
    assert {str(Cell(**result["cell"])): wrong for result in found if (wrong := complaints(result))} == {}
