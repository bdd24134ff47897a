"""Whether conversions that are killed at any moment end in the same bytes, and how often they were killed where.

    python -m benchmarks.chaos [--kills 200] [--seed 0]

A third of the kills each for images-jsonl, parquet and arrow; every conversion is killed up to twelve times in a row.
It fails with the kills that led there when one byte differs, when an unfinished folder looks whole, and on a traceback.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.chaos.killing import chains
from tests.conversion.conftest import SIX_CLIPS, write_source

SHAPES = ("images-jsonl", "parquet", "arrow")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    told: dict[str, Counter[str]] = {}
    conversions = 0
    with TemporaryDirectory() as folder:
        source = write_source(Path(folder) / "source", *SIX_CLIPS)
        for number, shape in enumerate(SHAPES):
            work = Path(folder) / shape
            work.mkdir()
            arguments = ["--from", "ucf101", "--source", str(source), "--num-frames", "2", "--jobs", "2", "--to", shape]
            arguments += ["--shard-size", "8K"] if shape != "images-jsonl" else []
            num_kills = options.kills // len(SHAPES) + (number < options.kills % len(SHAPES))
            for made in chains(arguments, work, seed=options.seed + number, num_kills=num_kills):
                conversions += 1
                for kill in made.kills:
                    told.setdefault(f"{kill.who} killed, {kill.kind}", Counter())[shape] += 1
    print(f"{conversions} conversions, {sum(map(Counter.total, told.values()))} kills, 0 differences", end="\n\n")
    print("| " + " | ".join(("killed at", *SHAPES)) + " |\n|---|" + "---:|" * len(SHAPES))
    for name in sorted(told):
        print("| " + " | ".join((name, *(str(told[name][shape]) for shape in SHAPES))) + " |")


if __name__ == "__main__":
    main()
