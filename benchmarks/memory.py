"""The most memory that `phidata convert` takes, of 1 000 rows and of 100 000, all its processes together.

    python benchmarks/memory.py [--rows 1000 100000] [--jobs 1]

Rows are chat messages with one small picture, which all show; whole commands, each a process of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from PIL import Image
from processes import measure, phidata

SHAPES = ("images-jsonl", "parquet", "arrow", "webdataset")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs=2, default=(1000, 100_000))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    few, many = options.rows
    print(f"| shape | {few:,} rows | {many:,} rows | |\n|---|---:|---:|---:|")
    for shape in SHAPES:
        peaks = [peak_mb(num_rows, shape, options.jobs) for num_rows in (few, many)]
        print(f"| {shape} | {peaks[0]:.0f} MB | {peaks[1]:.0f} MB | {peaks[1] / peaks[0] - 1:+.0%} |", flush=True)


def peak_mb(num_rows: int, shape: str, jobs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        write(source, num_rows)
        arguments = ("--from", "messages", "--keep-bytes", "--to", shape, "--jobs", str(jobs))
        return measure(phidata("convert", *arguments, "--source", str(source), "--out", f"{folder}/out")).peak_mb


def write(source: Path, num_rows: int) -> None:
    source.mkdir()
    Image.new("RGB", (64, 64), "red").save(source / "a.jpg")
    with (source / "train.jsonl").open("w") as file:
        for number in range(num_rows):
            parts = [{"type": "image"}, {"type": "text", "text": f"What is in picture {number}?"}]
            turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": "A field of one colour."}]
            file.write(json.dumps({"messages": turns, "images": ["a.jpg"]}) + "\n")


if __name__ == "__main__":
    main()
