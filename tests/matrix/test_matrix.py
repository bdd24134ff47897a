"""Cells of the matrix that hold every allowed pair of values, each against the plain loop."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from phitrain.resolve import Hardware
from tests.trainer.conftest import Run, python_line

from .cells import A100, CPU, V100, Cell, all_cells, refusal, resolved, runs_on
from .data import write_rows
from .pairwise import pairs_of, pairwise
from .tolerances import complaints

pytestmark = pytest.mark.processes

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
    flash = [cell for cell in all_cells() if cell.attention == "flash_attention_2"]
    trained = [cell for cell in flash if refusal(cell, A100) is None]
    assert (len(trained), {cell.precision for cell in trained}) == (2560, {"bf16", "fp16"})
    assert not any(refusal(cell, CPU) is None or refusal(cell, V100) is None for cell in flash)
    assert "capability 8.0 or newer" in str(refusal(cell(precision="fp16", attention="flash_attention_2"), V100))
    assert "half precision only" in str(refusal(cell(attention="flash_attention_2"), A100))


def test_an_older_gpu_gets_fp16_and_sdpa_and_is_told() -> None:
    config, notes = resolved(cell(precision="auto", attention="auto"), V100)
    assert (config.model.precision, config.model.attention) == ("fp16", "sdpa")
    assert any("no bf16" in note for note in notes)
    assert any("attention is sdpa" in note for note in notes)


@pytest.mark.gpu
@pytest.mark.skipif(not Hardware.here().flash, reason="flash attention does not run here")
def test_flash_attention_trains_as_the_plain_loop_does(model_folder: Path, tmp_path: Path) -> None:
    cells = [cell for cell in runs_on(Hardware.here()) if cell.attention == "flash_attention_2" and cell.processes == 1]
    assert results_of(pairwise(cells), model_folder, tmp_path, run_visibly) == {}


@pytest.mark.parametrize("processes", [1, 2])
def test_cells_train_as_the_plain_loop_does(run: Run, model_folder: Path, tmp_path: Path, processes: int) -> None:
    chosen = [cell for cell in CHOSEN if cell.processes == processes]
    assert results_of(chosen, model_folder, tmp_path, partial(run, processes=processes)) == {}


def results_of(chosen: list[Cell], model: Path, folder: Path, run: Run) -> dict[str, list[str]]:
    """What is wrong with cells that were run, by cell."""
    data, cells, results = write_rows(folder / "data"), folder / "cells.json", folder / "results.jsonl"
    cells.write_text(json.dumps([asdict(cell) for cell in chosen]))
    done = run("-m", "tests.matrix.running", model, data, cells, results)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in results.read_text().splitlines()]
    assert [Cell(**result["cell"]) for result in found] == chosen
    return {str(Cell(**result["cell"])): wrong for result in found if (wrong := complaints(result))}


def run_visibly(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """With the devices that there are."""
    return subprocess.run(python_line(arguments), capture_output=True, text=True, timeout=600)
