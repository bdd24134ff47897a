"""The page of a run, from the files that the run has left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phidata
from phidata.errors import DataError, UsageError
from phitrain.environment import ENVIRONMENT
from phitrain.log import LOG, Line, read_log
from phitrain.output import RUN_CONFIG
from phitrain.page.write import write_page
from phitrain.results import compare

if TYPE_CHECKING:
    from PIL.Image import Image

PAGE = "report.html"


def write_report_page(output_dir: str | Path) -> Path:
    """Write `report.html` into the folder of a run, whatever of the run there is; returns its path.

    Raises UsageError for a folder that is not a run's, DataError for a damaged file in it.
    """
    folder = Path(output_dir)
    if not (folder / RUN_CONFIG).is_file():
        raise UsageError(f"{folder} holds no {RUN_CONFIG}; give the --output_dir of a `phitrain train`")
    config = _read(folder / RUN_CONFIG)
    log = _read_log(folder / LOG)
    evaluations = _evaluations(folder, log)
    page = folder / PAGE
    write_page(
        page,
        config=config,
        log=log,
        evaluations=evaluations,
        comparison=compare(evaluations[0], evaluations[-1]) if len(evaluations) > 1 else {},
        images=DataImages(config["data"]["dir"]),
        environment=_read(folder / ENVIRONMENT) if (folder / ENVIRONMENT).is_file() else {},
    )
    return page


class DataImages:
    """The images of rows by split, id and turn, looked up in the data folder that was trained on."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._splits: dict[str, tuple[phidata.ConversationData, dict[str, int]]] = {}

    def __call__(self, split: str, id: str, turn: int) -> list[Image]:
        """Those of the row's turns up to this one. Raises PhidataError where the data is gone or has changed."""
        if split not in self._splits:
            rows = phidata.load(self._folder, split)
            self._splits[split] = rows, {row.id: number for number, row in enumerate(rows)}
        rows, places = self._splits[split]
        if id not in places:
            raise DataError(f"no row {id!r} in {self._folder} any more")
        return rows.images(places[id], num_turns=turn)


def _read_log(file: Path) -> list[Line]:
    lines = read_log(file)
    if lines and "resumed" not in lines[0]:
        raise DataError(
            f"{file} has not the fields that this version writes; look at it with the version that wrote it"
        )
    return lines


def _evaluations(folder: Path, log: Sequence[Line]) -> list[dict[str, Any]]:
    """Before, during and after training, by step; without those that an earlier run left beyond where this one is."""
    during = [_read_evaluation(file) for file in folder.glob("eval_step_*.json")]
    before, after = (
        [_read_evaluation(file) for file in folder.glob(f"eval_{when}.json")] for when in ("before", "after")
    )
    found = [*before, *sorted(during, key=lambda evaluation: evaluation["step"]), *after]
    return [evaluation for evaluation in found if evaluation["step"] <= (log[-1]["step"] if log else 0)]


def _read_evaluation(file: Path) -> dict[str, Any]:
    found = _read(file)
    if not {"step", "metrics", "splits"} <= found.keys():
        raise DataError(f"{file} is not an evaluation during training as this version writes it; move it away")
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is not JSON ({error}); remove it, or write it again") from error
    if not isinstance(found, dict):
        raise DataError(f"{file} must hold a JSON object; remove it, or write it again")
    return found
