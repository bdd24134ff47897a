"""What 100 million rows cost: the rates of the three phases of `phidata convert` here, and the hours computed of them.

    python benchmarks/cluster.py [--repeats 2]

Listing and putting together are done by one process, converting by as many as there are CPUs. Each kind of rows is
converted by one process, a small source and one twenty times its size; the rate of a phase is what the large one has
more, in rows and in seconds, so that starting processes is not in it. The best of the repeats counts.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cauldron import write_source as write_pictures
from convert import copy_clips
from processes import phidata

NUM_ROWS = 100_000_000
CORES = 64  # of a machine
MACHINES = (1, 10)
LARGER = 20  # times the small source
PHASE = re.compile(r"convert \S+: (\d+)/\1 rows in ([\d.]+) s")


class Phases(NamedTuple):
    """Seconds of each phase, and how many rows and bytes came out."""

    num_rows: float
    listing: float
    converting: float
    putting_together: float
    num_bytes: float


class Kind(NamedTuple):
    """One kind of rows: how so many are made, and how they are converted."""

    name: str
    make: Callable[[Path, int], object]
    num: int
    arguments: tuple[str, ...]


def write_messages(folder: Path, num_rows: int) -> None:
    with (folder / "train.jsonl").open("w") as file:
        for number in range(num_rows):
            question = f"What is {number} plus {number}? Please answer in one short sentence."
            answer = f"It is {2 * number}: {number} and {number} are added, digit by digit, from the right."
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"id": str(number), "messages": turns}) + "\n")


def write_parquet(folder: Path, num_rows: int) -> None:
    write_pictures(folder / "train-00000-of-00001.parquet", num_rows)


CAULDRON = ("--from", "cauldron", "--keep-bytes")
KINDS = (
    Kind("messages, no images → images-jsonl", write_messages, 5000, ("--from", "messages")),
    Kind("messages, no images → parquet", write_messages, 5000, ("--from", "messages", "--to", "parquet")),
    Kind("cauldron, bytes kept → images-jsonl", write_parquet, 150, CAULDRON),
    Kind("cauldron, bytes kept → parquet", write_parquet, 150, (*CAULDRON, "--to", "parquet")),
    Kind("videos, 8 frames → images-jsonl", copy_clips, 1, ("--from", "ucf101")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    machines = " | ".join(f"wall hours, {num} × {CORES} cores" for num in MACHINES)
    print(f"| rows | listed/s | converted/s/core | put together/s | KB a row | core-hours | {machines} |")
    print("|---|---:|---:|---:|---:|---:|" + "---:|" * len(MACHINES))
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            print(told(kind, slope(kind, Path(folder), options.repeats)), flush=True)


def slope(kind: Kind, folder: Path, repeats: int) -> Phases:
    """What the large source has more than the small one."""
    small, large = (best(kind, folder / str(num), num, repeats) for num in (kind.num, kind.num * LARGER))
    return Phases(*(more - less for more, less in zip(large, small, strict=True)))


def best(kind: Kind, folder: Path, num: int, repeats: int) -> Phases:
    source = folder / "source"
    source.mkdir(parents=True)
    kind.make(source, num)
    runs = [run(kind, source, folder / f"out{repeat}") for repeat in range(repeats)]
    return Phases(*(min(values) for values in zip(*runs, strict=True)))


def run(kind: Kind, source: Path, out: Path) -> Phases:
    """Convert once. The end of the second phase is when its last line comes."""
    command = phidata("convert", *kind.arguments, "--source", str(source), "--out", str(out), "--jobs", "1")
    began_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := PHASE.match(line):
                converted_s, num_rows, converting = time.perf_counter(), int(found[1]), float(found[2])
    assert process.returncode == 0
    ended_s = time.perf_counter()
    num_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Phases(num_rows, converted_s - converting - began_s, converting, ended_s - converted_s, num_bytes)


def told(kind: Kind, more: Phases) -> str:
    seconds = (more.listing, more.converting, more.putting_together)
    rates = [more.num_rows / max(one, 1e-3) for one in seconds]
    list_h, convert_h, together_h = (NUM_ROWS / rate / 3600 for rate in rates)
    walls = [f"{list_h + convert_h / (num * CORES) + together_h:.1f}" for num in MACHINES]
    kilobytes = f"{more.num_bytes / more.num_rows / 1e3:.1f}"
    core_hours = f"{list_h + convert_h + together_h:,.0f}"
    return f"| {' | '.join((kind.name, *(f'{rate:,.0f}' for rate in rates), kilobytes, core_hours, *walls))} |"


if __name__ == "__main__":
    main()
