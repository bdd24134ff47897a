"""Kill and resume: runs of every strategy, killed (SIGKILL) at seeded moments and gone on with, beside undisturbed ones.

    python benchmarks/resume.py --kills 12 [--write]

A killed run is equal when its log's losses, gradient norms and learning rates, its evaluations, its trained weights and
every checkpoint's tensors are the same bytes as the undisturbed run's. `--write` puts the table into docs/resume.md.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from phitrain.create import create_model_folder
from tests.trainer.killing import (
    KINDS,
    at_moment,
    differing,
    import_everything,
    kill,
    launch,
    moments_by_kind,
    outcome,
    recording,
)
from tests.trainer.resuming import Place, done

PAGE = Path(__file__).parents[1] / "docs" / "resume.md"
START, END = "<!-- table -->\n", "<!-- end -->\n"
LORA = {"lora_rank": 4, "lora_dropout": 0.2}

# strategy, precision, ZeRO stage, offload, processes
CASES = (
    ("full", "fp32", 0, "none", 1),
    ("full", "fp32", 3, "none", 2),
    ("full", "bf16", 2, "optimizer", 2),
    ("frozen-vision", "bf16", 1, "none", 2),
    ("frozen-vision", "fp16", 3, "parameters", 1),
    ("lora", "fp16", 2, "none", 2),
    ("lora", "bf16", 3, "none", 1),
    ("qlora", "fp32", 1, "none", 1),
    ("qlora", "bf16", 3, "none", 2),
)


def run_case(place: Place, case: tuple[Any, ...], kills: int, seed: int) -> tuple[list[str], bool]:
    """The row of one case, and whether all was equal."""
    strategy, precision, zero, offload, processes = case
    changes: dict[str, dict[str, Any]] = {
        "strategy": {"kind": strategy, **(LORA if "lora" in strategy else {})},
        "model": {"precision": precision},
        "train": {"zero": zero, "offload": offload},
    }
    name = "-".join(map(str, case))
    calm, file = f"{name}-calm", place.folder / f"{name}.moments"
    done(launch(place.values(calm, **changes), processes=processes, patches=[recording(place.output(calm), file)]))
    found = moments_by_kind(file, processes)
    draw = random.Random(f"{seed} {name}")
    every = [(kind, moment) for kind in KINDS for moment in draw.choices(found[kind], k=-(-kills // len(KINDS)))]
    counts = dict.fromkeys(KINDS, 0)
    for kind, moment in sorted(every, key=lambda pair: (pair[1].step, pair[1].at))[:kills]:
        at = at_moment(place.output(name), moment.rank, moment.name, kill)
        codes = launch(place.values(name, **changes), processes=processes, patches=[at]).codes
        counts[kind] += -9 in codes
    done(launch(place.values(name, **changes), processes=processes))
    different = differing(outcome(place.output(calm)), outcome(place.output(name)))
    words = [strategy, precision, str(zero), offload, str(processes), *map(str, counts.values())]
    return [*words, "bit for bit" if not different else f"no: {', '.join(different)}"], not different


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    import_everything()
    started, rows = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        create_model_folder(model, size="tiny", num_crops=1)
        place = Place(model, Path(folder))
        for case in CASES:
            row, _ = run_case(place, case, options.kills, options.seed)
            rows.append(row)
            print(" ".join(row), flush=True)
    head = ["strategy", "precision", "ZeRO", "offload", "processes", *(f"kills in a {kind}" for kind in KINDS), "equal"]
    lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    table = "\n".join([*lines, "", f"{time.perf_counter() - started:.0f} s in all.", ""])
    print(table)
    if options.write:
        text = PAGE.read_text("utf-8")
        before, rest = text.split(START)
        PAGE.write_text(before + START + table + END + rest.split(END)[1], "utf-8")


if __name__ == "__main__":
    main()
