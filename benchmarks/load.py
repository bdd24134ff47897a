"""Rows per second out of data folders of every shape, beside `datasets` and `webdataset` on the same files.

    python benchmarks/load.py [--rows 2000] [--repeats 3]

The rows are those of benchmarks/cauldron.py. "rows" are all texts and paths, in order and at random; "pictures" are
decoded as RGB, which costs the same everywhere and hides the rest. One process, one run, the best wall time of each.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import BytesIO, StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import webdataset
from cauldron import write_source
from PIL import Image

import phidata
from phidata.storage.shape import SHAPES

NUM_PICTURES = 300  # rows of which pictures are decoded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3, help="how many times each candidate runs")
    options = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        write_source(Path(folder, "source", "train-00000-of-00001.parquet"), options.rows)
        for shape in SHAPES:
            with redirect_stderr(StringIO()):
                source, out = Path(folder, "source"), Path(folder, shape)
                phidata.convert("cauldron", source=source, out=out, shape=shape, keep_bytes=True)
        places = random.Random(0).choices(range(options.rows), k=options.rows)
        print(f"{'':<34} {'open ms':>8} {'rows/s':>10} {'at random':>10} {'pictures: rows/s':>17}")
        for name, open_data in candidates(Path(folder)).items():
            figures = [measure(open_data, places) for _ in range(options.repeats)]
            opening, rows, at_random, pictures = (min(times) for times in zip(*figures, strict=True))
            shown = f"{len(places) / at_random:10,.0f}" if at_random else f"{'–':>10}"
            rates = f"{opening * 1e3:8.1f} {options.rows / rows:10,.0f} {shown} {NUM_PICTURES / pictures:17,.0f}"
            print(f"{name:<34} {rates}")


class Data:
    """How rows are read from one kind of folder: in order, at random where that can be, with decoded pictures."""

    def __init__(
        self, rows: Callable[[], Iterator[Any]], row: Callable[[int], Any] | None, pictures: Callable[[], Iterator[Any]]
    ) -> None:
        self.rows, self.row, self.pictures = rows, row, pictures


def measure(open_data: Callable[[], Data], places: list[int]) -> tuple[float, float, float, float]:
    """Seconds: to open, for all rows in order, for as many at random (0 where there is no way), for some pictures."""
    times = [time.perf_counter()]
    data = open_data()
    times.append(time.perf_counter())
    for _ in data.rows():
        pass
    times.append(time.perf_counter())
    if data.row is not None:
        for place in places:
            data.row(place)
    times.append(time.perf_counter())
    for number, _ in enumerate(data.pictures(), start=1):
        if number == NUM_PICTURES:
            break
    times.append(time.perf_counter())
    opening, rows, at_random, pictures = (end - start for start, end in pairwise(times))
    return opening, rows, at_random if data.row is not None else 0.0, pictures


def candidates(folder: Path) -> dict[str, Callable[[], Data]]:
    found = {f"phidata, {shape}": phidata_data(folder / shape) for shape in SHAPES}
    found["datasets, arrow"] = datasets_data(lambda: datasets.load_from_disk(str(folder / "arrow"))["train"])
    cached = datasets.load_dataset(str(folder / "parquet"), split="train", cache_dir=str(folder / "cache"))
    found["datasets, parquet (from its cache)"] = datasets_data(lambda: cached)
    found["webdataset"] = webdataset_data(sorted(map(str, (folder / "webdataset").glob("train-*.tar"))))
    return found


def phidata_data(path: Path) -> Callable[[], Data]:
    def open_data() -> Data:
        data = phidata.load(path, split="train")
        return Data(lambda: iter(data), data.__getitem__, lambda: (data.images(row) for row in range(len(data))))

    return open_data


def datasets_data(load: Callable[[], Any]) -> Callable[[], Data]:
    def open_data() -> Data:
        data = load()
        turns = dict(data.features["conversations"].feature)
        turns["images"] = datasets.List(datasets.Image(decode=False))
        plain = data.cast_column("conversations", datasets.List(turns))
        return Data(lambda: iter(plain), plain.__getitem__, lambda: (loaded(row) for row in data))

    return open_data


def loaded(row: dict[str, Any]) -> list[Image.Image]:
    return [image.convert("RGB") for turn in row["conversations"] for image in turn["images"]]


def webdataset_data(shards: list[str]) -> Callable[[], Data]:
    def open_data() -> Data:
        data = webdataset.WebDataset(shards, shardshuffle=False)
        return Data(
            lambda: (json.loads(sample["json"]) for sample in data),
            None,
            lambda: (
                [Image.open(BytesIO(sample[key])).convert("RGB") for key in sample if key.endswith("jpg")]
                for sample in data
            ),
        )

    return open_data


if __name__ == "__main__":
    main()
