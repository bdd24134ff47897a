"""How time and memory grow with the number of rows, and a plot of it.

    python benchmarks/growth.py [--largest 10000000] [--only validate] [--work DIR]
    python benchmarks/growth.py --plot docs/growth.png

Each measurement is a fresh command and a line of benchmarks/growth.jsonl, written when it ends; what is there already
is not measured again. Rows are synthetic: of 180 bytes for checks and reading, chat messages for conversions.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from processes import measure, phidata
from validate import write_short_rows

RESULTS = Path(__file__).with_name("growth.jsonl")
PANELS = {"wall_s": "seconds", "cpu_s": "CPU seconds, all processes", "peak_mb": "peak MB, all processes"}
NUM_READS = 1000  # random rows that are read
READ = """
import random, sys, phidata
data = phidata.load(sys.argv[1], split="train")
places = random.Random(0).choices(range(len(data)), k=int(sys.argv[2]))
assert all(data[place].id == f"row-{place:010d}" for place in places)
"""


@dataclass(frozen=True, kw_only=True)
class Route:
    """Something that is measured: `command` gets the folder of its rows and a folder to write to."""

    label: str
    source: str
    command: Callable[[Path, Path], Sequence[str]]
    largest: int = 10_000_000
    warm: bool = False  # run once before, for what it leaves beside the rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=10_000_000)
    parser.add_argument("--only", nargs="*", choices=ROUTES, default=[*ROUTES])
    parser.add_argument("--work", type=Path, help="where rows are written  [default: a temporary folder]")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path, metavar="PNG", help="plot the results and measure nothing")
    parser.add_argument("--panels", nargs="+", choices=PANELS, default=[*PANELS], help="of the plot")
    options = parser.parse_args()
    if options.plot:
        plot(read_results(options.results), options.panels, options.plot)
        return
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        for num_rows in sizes(options.largest):
            for name in options.only:
                if num_rows <= ROUTES[name].largest and (name, num_rows) not in read_results(options.results):
                    record(options.results, name, num_rows, Path(folder))
            for written in Path(folder).iterdir():
                shutil.rmtree(written)


def sizes(largest: int) -> Iterator[int]:
    """1000, 3000, 10000, 30000 … up to the largest."""
    power = 1000
    while power <= largest:
        yield from (size for size in (power, 3 * power) if size <= largest)
        power *= 10


def record(results: Path, name: str, num_rows: int, folder: Path) -> None:
    """Measure one path at one size and add a line to the results."""
    route = ROUTES[name]
    source, out = folder / f"{route.source}-{num_rows}", folder / f"out-{name}"
    if not source.exists():
        source.mkdir()
        SOURCES[route.source](source, num_rows)
    command = route.command(source, out)
    if route.warm:
        measure(command)
    found = measure(command)
    shutil.rmtree(out, ignore_errors=True)
    line = {
        "path": name,
        "rows": num_rows,
        "wall_s": round(found.wall_s, 3),
        "cpu_s": round(found.cpu_s, 3),
        "peak_mb": round(found.peak_mb, 1),
        "source_mb": round(sum(file.stat().st_size for file in source.iterdir()) / 1e6, 1),
        "load": round(os.getloadavg()[0], 1),
    }
    with results.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def read_results(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The last line for each path and number of rows."""
    lines = results.read_text().splitlines() if results.is_file() else []
    return {(line["path"], line["rows"]): line for line in map(json.loads, lines)}


def write_messages(folder: Path, num_rows: int) -> None:
    """Chat messages without pictures."""
    with (folder / "train.jsonl").open("w", buffering=1 << 20) as out:
        for number in range(num_rows):
            out.write(json.dumps(messages(number, "What is it?")) + "\n")


def write_picture_messages(folder: Path, num_rows: int) -> None:
    """Chat messages each with a picture of 16 × 16 pixels of its own, as a data: URI."""
    with (folder / "train.jsonl").open("w", buffering=1 << 20) as out:
        for number in range(num_rows):
            buffer = BytesIO()
            Image.new("RGB", (16, 16), (number & 255, number >> 8 & 255, number >> 16 & 255)).save(buffer, "PNG")
            url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
            image = {"type": "image_url", "image_url": {"url": url}}
            out.write(json.dumps(messages(number, [image, {"type": "text", "text": "What is it?"}])) + "\n")


def messages(number: int, content: str | list[dict[str, Any]]) -> dict[str, Any]:
    answer = {"role": "assistant", "content": f"It is the number {number}."}
    return {"messages": [{"role": "user", "content": content}, answer]}


def convert(source: Path, out: Path, *more: str) -> list[str]:
    return phidata("convert", "--from", "messages", "--source", str(source), "--out", str(out), "--jobs", "1", *more)


def check(source: Path, jobs: int) -> list[str]:
    return phidata("validate", str(source / "growth_train.jsonl"), "--media", "none", "--jobs", str(jobs))


SOURCES: dict[str, Callable[[Path, int], None]] = {
    "rows": lambda folder, num_rows: write_short_rows(folder / "growth_train.jsonl", num_rows),
    "messages": write_messages,
    "pictures": write_picture_messages,
}
ROUTES = {
    "validate": Route(label="validate", source="rows", command=lambda source, _: check(source, 1)),
    "validate-2": Route(label="validate, 2 jobs", source="rows", command=lambda source, _: check(source, 2)),
    "load": Route(
        label=f"load, {NUM_READS} random rows",
        source="rows",
        command=lambda source, _: [sys.executable, "-c", READ, str(source), str(NUM_READS)],
        warm=True,
    ),
    "convert": Route(label="convert, texts", source="messages", command=convert),
    "convert-pictures": Route(
        label="convert, a picture each",
        source="pictures",
        command=lambda source, out: convert(source, out, "--to", "arrow", "--keep-bytes"),
        largest=1_000_000,
    ),
}


def plot(found: dict[tuple[str, int], dict[str, Any]], panels: Sequence[str], file: Path) -> None:
    """Time and memory over rows, both axes by powers of ten."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(panels), figsize=(1 + 4.2 * len(panels), 4), layout="constrained")
    for axis, key in zip(axes, panels, strict=True):
        for name, route in ROUTES.items():
            rows = sorted(size for of, size in found if of == name)
            axis.plot(rows, [found[name, size][key] for size in rows], marker="o", markersize=3, label=route.label)
        axis.set(xscale="log", yscale="log", xlabel="rows", title=PANELS[key])
        axis.grid(visible=True, alpha=0.3)
        if key == "peak_mb":
            axis.set_ylim(10, 2000)
    lines, labels = axes[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
