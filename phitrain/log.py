"""log.jsonl: one line a step, in order; a run that goes on takes it up after its checkpoint."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from phidata.errors import DataError
from phitrain.output import replacing

LOG = "log.jsonl"
Line = dict[str, Any]


def line_of(values: Mapping[str, Any]) -> str:
    """A line of the log. Numbers that are not finite, which JSON does not have, become null."""
    return json.dumps(_plain(values), allow_nan=False) + "\n"


def loss_words(loss: float | None) -> str:
    """A loss of the log, for people."""
    return "not finite" if loss is None else f"{loss:.4f}"


def read_log(path: Path) -> list[Line]:
    """The steps of a log. A last line that was not finished is left out; no file is no steps.

    Raises DataError for any other line that is not a step.
    """
    raw = path.read_bytes().splitlines() if path.is_file() else []
    lines = [_parsed(line) for line in raw]
    whole = [line for line in lines if line is not None]
    if None in lines[:-1]:
        number = lines.index(None) + 1
        raise DataError(f"{path}:{number}: {raw[number - 1][:60]!r} is not a step; remove the line")
    return whole


def cut_log(path: Path, step: int) -> int:
    """Drop what a log says beyond a step, and what follows a damaged line; returns the last step that is left, or 0.

    A run that was killed may have got further than the checkpoint that it goes on from.
    """
    last, kept = 0, []
    for raw in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
        line = _parsed(raw)
        if line is None or line["step"] > step:
            break
        last = line["step"]
        kept.append(raw.rstrip(b"\r\n") + b"\n")
    with replacing(path) as file:
        file.write(b"".join(kept).decode())
    return last


def _parsed(raw: bytes) -> Line | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) else None


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value
