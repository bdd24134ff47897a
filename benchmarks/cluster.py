"""What 100 million rows cost: the rates of the three phases of `phidata convert` here, and the hours computed of them.

    python benchmarks/cluster.py [--repeats 3]

Listing and putting together are done by one process, converting by as many as there are CPUs. A phase is measured on a
small source and on one twenty times its size; its rate is what the large one has more, in rows and in seconds, so that
starting processes is not in it. The best of the repeats counts. What a phase does not look into is small: rows are
listed, and images that are files are put together, with tiny pictures, so that there are enough of them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron import write_source as write_pictures
from convert import copy_clips
from PIL import Image
from processes import phidata

NUM_ROWS = 100_000_000
CORES = 64  # of a machine
MACHINES = (1, 10)
LARGER = 20  # times the small source
PHASE = re.compile(r"convert \S+: (\d+)/\1 rows in ([\d.]+) s")
SMALL_CLIP = Path(__file__).parents[1] / "tests" / "media" / "videos" / "video.avi"


class Made(NamedTuple):
    """How a source is made, with how many rows at first."""

    make: Callable[[Path, int], object]
    num: int


class Kind(NamedTuple):
    """One kind of rows, and on which of them each phase is measured."""

    name: str
    arguments: tuple[str, ...]
    listed: Made
    converted: Made
    put_together: Made


class Run(NamedTuple):
    """Rows of a conversion, seconds of its phases, and the bytes that came out."""

    num_rows: float
    converting: float
    putting_together: float
    num_bytes: float


def write_messages(folder: Path, num_rows: int) -> None:
    folder.mkdir()
    with (folder / "train.jsonl").open("w") as file:
        for number in range(num_rows):
            question = f"What is {number} plus {number}? Please answer in one short sentence."
            answer = f"It is {2 * number}: {number} and {number} are added, digit by digit, from the right."
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"id": str(number), "messages": turns}) + "\n")


def write_parquet(folder: Path, num_rows: int) -> None:
    write_pictures(folder / "train-00000-of-00001.parquet", num_rows)


def write_small_parquet(folder: Path, num_rows: int) -> None:
    folder.mkdir()
    stored = BytesIO()
    Image.new("RGB", (8, 8)).save(stored, "JPEG")
    rows = [
        {
            "images": [{"bytes": stored.getvalue(), "path": None}],
            "texts": [{"user": f"What is {number}?", "assistant": "It is a number.", "source": "numbers"}],
        }
        for number in range(num_rows)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet", row_group_size=1000)


def copy_small_clips(folder: Path, num_rows: int) -> None:
    (folder / "train" / "Jump").mkdir(parents=True)
    for split in ("val", "test"):
        (folder / split / "Jump").mkdir(parents=True)
        shutil.copyfile(SMALL_CLIP, folder / split / "Jump" / "v.avi")
    for number in range(num_rows):
        shutil.copyfile(SMALL_CLIP, folder / "train" / "Jump" / f"v{number}.avi")


MESSAGES = Made(write_messages, 5000)
PICTURES, SMALL_PICTURES = Made(write_parquet, 150), Made(write_small_parquet, 2000)
CLIPS, SMALL_CLIPS = Made(copy_clips, 1), Made(copy_small_clips, 300)
CAULDRON = ("--from", "cauldron", "--keep-bytes")
KINDS = (
    Kind("messages, no images → images-jsonl", ("--from", "messages"), MESSAGES, MESSAGES, MESSAGES),
    Kind("messages, no images → parquet", ("--from", "messages", "--to", "parquet"), MESSAGES, MESSAGES, MESSAGES),
    Kind("cauldron, bytes kept → images-jsonl", CAULDRON, SMALL_PICTURES, PICTURES, SMALL_PICTURES),
    Kind("cauldron, bytes kept → parquet", (*CAULDRON, "--to", "parquet"), SMALL_PICTURES, PICTURES, PICTURES),
    Kind("videos, 8 frames → images-jsonl", ("--from", "ucf101"), SMALL_CLIPS, CLIPS, SMALL_CLIPS),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    machines = " | ".join(f"hours on {num} × {CORES} cores" for num in MACHINES)
    print(f"| rows | KB a row | listed/s | converted/s/core | put together/s | core-hours | {machines} |")
    print("|---|---:|---:|---:|---:|---:|" + "---:|" * len(MACHINES))
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            print(told(kind, Path(folder), options.repeats), flush=True)


def told(kind: Kind, folder: Path, repeats: int) -> str:
    listed = more(listings, kind, kind.listed, folder / "listed", repeats)
    converted = more(conversions, kind, kind.converted, folder / "converted", repeats)
    together = converted
    if kind.put_together != kind.converted:
        together = more(conversions, kind, kind.put_together, folder / "together", repeats)
    rates = (
        listed.num_rows / listed.converting,
        converted.num_rows / converted.converting,
        together.num_rows / together.putting_together,
    )
    list_h, convert_h, together_h = (NUM_ROWS / rate / 3600 for rate in rates)
    walls = [f"{list_h + convert_h / (num * CORES) + together_h:.1f}" for num in MACHINES]
    cells = (f"{converted.num_bytes / converted.num_rows / 1e3:.2f}", *(f"{rate:,.0f}" for rate in rates))
    return f"| {' | '.join((kind.name, *cells, f'{list_h + convert_h + together_h:,.0f}', *walls))} |"


def more(measured: Callable[[Kind, Path, Path], Run], kind: Kind, made: Made, folder: Path, repeats: int) -> Run:
    """What the large source has more than the small one, by the best of the repeats."""
    folder.mkdir()
    best: list[Run] = []
    for num in (made.num, made.num * LARGER):
        source = folder / f"source{num}"
        made.make(source, num)
        runs = [measured(kind, source, folder / f"out{num}-{repeat}") for repeat in range(repeats)]
        best.append(Run(*map(min, zip(*runs, strict=True))))
    return Run(*(large - small for small, large in zip(*best, strict=True)))


def listings(kind: Kind, source: Path, _: Path) -> Run:
    """List the rows and convert three of them; the seconds are those of the whole command."""
    began_s = time.perf_counter()
    command = phidata("convert", *kind.arguments, "--source", str(source), "--dry-run", "--format", "json")
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    num_rows = sum(json.loads(said.stdout)["rows"].values())
    return Run(num_rows, time.perf_counter() - began_s, 0.0, 0.0)


def conversions(kind: Kind, source: Path, out: Path) -> Run:
    """Convert. The end of the second phase is when its last line comes."""
    command = phidata("convert", *kind.arguments, "--source", str(source), "--out", str(out), "--jobs", "1")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := PHASE.match(line):
                converted_s, num_rows, converting = time.perf_counter(), int(found[1]), float(found[2])
    assert process.returncode == 0
    putting_together = time.perf_counter() - converted_s
    num_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    shutil.rmtree(out)
    return Run(num_rows, converting, putting_together, num_bytes)


if __name__ == "__main__":
    main()
