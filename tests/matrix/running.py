"""Runs cells one after the other in one process a rank; a program of its own, which appends a line of JSON for each.

[torchrun] -m tests.matrix.running MODEL DATA CELLS RESULTS
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from phitrain.engine import close_world, open_world

from .cells import Cell
from .training import Place, outcome


def main(model: str, data: str, cells: str, results: str) -> None:
    world = open_world()
    place = Place(Path(model), Path(data), world)
    for values in json.loads(Path(cells).read_text()):
        started = time.perf_counter()
        cell = Cell(**values)
        found = outcome(place, cell)
        seconds = time.perf_counter() - started
        if world.is_main:
            with Path(results).open("a") as file:
                file.write(json.dumps({"cell": values, **asdict(found), "seconds": seconds}) + "\n")
    close_world()


if __name__ == "__main__":
    main(*sys.argv[1:])
