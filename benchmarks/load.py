"""Rows per second out of data folders of every shape, beside `datasets`, `webdataset`, energon and a plain loop.

    python benchmarks/load.py [--rows 5000] [--repeats 3] [--many 10000000]

The rows are those of benchmarks/cauldron.py. "open" is until the first row is there; "rows" are all texts and paths, in
order and at random; "pictures" are decoded as RGB, which costs the same everywhere and hides the rest. One process, the
candidates taking turns, the best CPU time of each, the files in the system's memory; what each keeps to find rows again
is there from the first turn on. energon is measured where `megatron-energon` is installed.

Then `--many` small rows (0 for none), each candidate in a process of its own: the first opening, a later one, rows at
random, and how much memory of its own the process has at the end, beyond what it had before. Files that are mapped or
cached by the system are nobody's own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import islice, pairwise
from pathlib import Path

import datasets
from cauldron import write_source
from many_rows import write_many
from readers import Data, candidates, datasets_data, phidata_data, plain_data

import phidata
from phidata.storage.shape import SHAPES

NUM_PICTURES = 300  # rows of which pictures are decoded
NUM_AT_RANDOM = 200_000  # of many rows
MAX_S = 10.0  # for as many of them as can be read until then
MANY: dict[str, Callable[[Path], Callable[[], Data]]] = {
    "phidata, images-jsonl": lambda folder: phidata_data(folder / "images-jsonl"),
    "phidata, arrow": lambda folder: phidata_data(folder / "arrow"),
    "phidata, parquet": lambda folder: phidata_data(folder / "parquet"),
    "plain jsonl": lambda folder: plain_data(folder / "images-jsonl", json.loads),
    "datasets, arrow": lambda folder: datasets_data(folder / "arrow"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3, help="how many times each candidate runs")
    parser.add_argument("--many", type=int, default=10_000_000, help="how many small rows; 0 for none")
    parser.add_argument("--of", nargs=2, metavar=("CANDIDATE", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    datasets.disable_progress_bars()
    if options.of:
        name, folder = options.of
        print(many_figures(MANY[name](Path(folder)), options.many))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PHIDATA_CACHE"] = str(Path(folder, "cache"))
        if options.rows:
            compare(Path(folder, "pictures"), options.rows, options.repeats)
        if options.many:
            compare_many(Path(folder, "many"), options.many)


def compare(folder: Path, num_rows: int, repeats: int) -> None:
    source = folder / "source"
    write_source(source / "train-00000-of-00001.parquet", num_rows)
    with redirect_stderr(StringIO()):
        for shape in SHAPES:
            phidata.convert("cauldron", source=source, out=folder / shape, shape=shape, keep_bytes=True)
    places = random.Random(0).choices(range(num_rows), k=num_rows)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        found = candidates(folder)
        figures: dict[str, list[tuple[float, ...]]] = {name: [] for name in found}
        for _ in range(repeats):
            for name, open_data in found.items():
                figures[name].append(measure(open_data, places))
    print(f"{'':<24} {'open ms':>8} {'rows/s':>10} {'at random':>10} {'pictures: rows/s':>17}")
    for name, times in figures.items():
        opening, rows, at_random, pictures = (min(column) for column in zip(*times, strict=True))
        shown = f"{num_rows / at_random:10,.0f}" if at_random else f"{'–':>10}"
        rates = f"{opening * 1e3:8.2f} {num_rows / rows:10,.0f} {shown} {NUM_PICTURES / pictures:17,.0f}"
        print(f"{name:<24} {rates}")


def measure(open_data: Callable[[], Data], places: list[int]) -> tuple[float, ...]:
    """Seconds of the processor: until the first row, for all rows in order, for as many at random (0 where there is no
    way), for some pictures."""
    times = [time.process_time()]
    data = open_data()
    first = data.row(0) if data.row is not None else next(data.rows())
    times.append(time.process_time())
    for _ in data.rows():
        pass
    times.append(time.process_time())
    if data.row is not None:
        for place in places:
            data.row(place)
    times.append(time.process_time())
    for _ in islice(data.pictures(), NUM_PICTURES):
        pass
    times.append(time.process_time())
    assert first
    opening, rows, at_random, pictures = (end - start for start, end in pairwise(times))
    return opening, rows, at_random if data.row is not None else 0.0, pictures


def compare_many(folder: Path, num_rows: int) -> None:
    write_many(folder, num_rows)
    print(f"\n{f'{num_rows:,} rows':<24} {'first open ms':>14} {'open ms':>8} {'row µs':>8} {'own MB':>7}")
    for name in MANY:
        command = [sys.executable, __file__, "--many", str(num_rows), "--of", name, str(folder)]
        figures = subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()
        print(f"{name:<24} {figures}", flush=True)


def many_figures(open_data: Callable[[], Data], num_rows: int) -> str:
    """Of one candidate in this process: milliseconds to open, again, microseconds a row at random, megabytes."""
    before = own_bytes()
    first_s = until_first_row(open_data)
    again_s = min(until_first_row(open_data) for _ in range(3))
    row = open_data().row
    assert row is not None
    places = random.Random(0).choices(range(num_rows), k=NUM_AT_RANDOM)
    num_read, started = 0, time.process_time()
    while num_read < NUM_AT_RANDOM and time.process_time() < started + MAX_S:
        for place in places[num_read : num_read + 1000]:
            row(place)
        num_read += 1000
    each_s = (time.process_time() - started) / num_read
    own = (own_bytes() - before) / 1e6
    return f"{first_s * 1e3:14,.1f} {again_s * 1e3:8,.2f} {each_s * 1e6:8,.2f} {own:7,.0f}"


def until_first_row(open_data: Callable[[], Data]) -> float:
    started = time.process_time()
    row = open_data().row
    assert row is not None
    row(0)
    return time.process_time() - started


def own_bytes() -> int:
    """Of this process's memory what is no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
