"""The whole matrix: every cell that runs on a CPU, two processes at most; goes on where it was stopped.

python -m tests.matrix [--out out/matrix] [--minutes 120] [--page docs/matrix.md]

Results are lines of OUT/results.jsonl. The page is written from those that are there, when all have run or the time is
over; `--minutes 0` writes it alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from tests.trainer.conftest import environment, python_line, write_model

from .cells import CPU, Cell, runs_on
from .data import write_rows
from .page import write_page
from .pairwise import pairwise

CHUNK = 160  # cells that a process runs before it is replaced
Started = tuple["subprocess.Popen[bytes]", list[Cell], Path]


def main() -> None:
    options = parse()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    run_all(out, until=time.monotonic() + 60 * options.minutes)
    write_page(read_results(out), Path(options.page))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="out/matrix")
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--page", default="docs/matrix.md")
    return parser.parse_args()


def run_all(out: Path, *, until: float) -> None:
    """Chunk after chunk, each with the cells of one process on two of them beside each other, then those of two."""
    while time.monotonic() < until and (chunk := left(out)[:CHUNK]):
        alone = [cell for cell in chunk if cell.processes == 1]
        together = [cell for cell in chunk if cell.processes == 2]
        await_all([start(out, part, f"alone-{number}") for number in (0, 1) if (part := alone[number::2])], out, until)
        if together and time.monotonic() < until:
            await_all([start(out, together, "together")], out, until)
        sys.stderr.write(f"{len(left(out))} cells are left\n")


def left(out: Path) -> list[Cell]:
    """The cells without a result: first those that hold every pair of values, then the others in a drawn order."""
    runs = runs_on(CPU)
    rest = sorted(runs, key=str)
    Random(0).shuffle(rest)
    done = {Cell(**result["cell"]) for result in read_results(out)}
    return [cell for cell in dict.fromkeys([*pairwise(runs), *rest]) if cell not in done]


def read_results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(out.glob("results*.jsonl")) for line in whole_lines(path)]


def whole_lines(path: Path) -> Iterator[str]:
    """Without a last one that a kill has cut."""
    return (line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n"))


def start(out: Path, cells: Sequence[Cell], name: str) -> Started:
    if not (out / "data").is_dir():
        (out / "model").mkdir(exist_ok=True)
        write_model(out / "model")
        write_rows(out / "data")
    (out / f"cells-{name}.json").write_text(json.dumps([asdict(cell) for cell in cells]))
    results = out / f"results-{name}.jsonl"
    if results.is_file():
        results.write_text("".join(whole_lines(results)))
    places = (out / "model", out / "data", out / f"cells-{name}.json", results)
    line = python_line(("-m", "tests.matrix.running", *places), cells[0].processes)
    with (out / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(line, env=environment(), stdout=log, stderr=log, preexec_fn=lambda: os.nice(19))
    return process, list(cells), results


def await_all(started: Sequence[Started], out: Path, until: float) -> None:
    """Until they end or the time is over. Where one fails, the cell that it was at gets an error for a result."""
    for process, cells, results in started:
        try:
            process.wait(timeout=max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            continue
        if process.returncode:
            done = {Cell(**result["cell"]) for result in read_results(out)}
            failed = next(cell for cell in cells if cell not in done)
            with results.open("a") as file:
                file.write(json.dumps({"cell": asdict(failed), "error": f"exit status {process.returncode}"}) + "\n")
            sys.stderr.write(f"{failed} failed; see {results.parent}\n")


if __name__ == "__main__":
    main()
