"""Rows per second of `phidata convert --keep-bytes` on Parquet files like the cauldron's, beside `datasets`.

    python benchmarks/cauldron.py [--rows 2000] [--repeats 3]

Each row has one or two JPEG pictures of 640 × 480 and three questions. All candidates make conversations with the
pictures in them, in one run, taking turns; the best wall time of each counts, whole commands. phidata decodes every
picture to see that it is whole and copies its bytes, checks every row, and hashes everything. `datasets.map` as most
people call it decodes the pictures and encodes them anew; told not to decode it copies them unseen.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import av
import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import phidata

CLIPS = Path(__file__).parents[1] / "examples" / "ucf101_subset"
SIZE = (640, 480)
ROWS_A_GROUP = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3, help="how many times each candidate runs")
    options = parser.parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        num_bytes = write_source(source / "train-00000-of-00001.parquet", options.rows)
        print(f"{options.rows} rows, {num_bytes / 1e6:.0f} MB")
        seconds: dict[str, list[float]] = {name: [] for name in CANDIDATES}
        for repeat in range(options.repeats):
            for number, (name, convert) in enumerate(CANDIDATES.items()):
                out = Path(folder, f"out{number}")
                shutil.rmtree(out, ignore_errors=True)
                started = time.perf_counter()
                convert(source, out, Path(folder, f"cache{repeat}-{number}"))
                seconds[name].append(time.perf_counter() - started)
        first = min(seconds["datasets.map + save_to_disk"])
        for name, times in seconds.items():
            print(f"{name:<52} {options.rows / min(times):8.0f} rows/s {first / min(times):6.2f}×")


def write_source(path: Path, num_rows: int) -> int:
    """Rows with pictures from the clips, enlarged, in row groups as the hub's files have them."""
    path.parent.mkdir(parents=True)
    pictures = [jpeg(frame) for clip in sorted(CLIPS.glob("*/*/*.avi")) for frame in frames(clip)]
    features = datasets.Features(
        {
            "images": datasets.List(datasets.Image()),
            "texts": datasets.List({key: datasets.Value("string") for key in ("user", "assistant", "source")}),
        }
    )
    schema = features.arrow_schema
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, num_rows, ROWS_A_GROUP):
            rows = [row(number, pictures) for number in range(start, min(start + ROWS_A_GROUP, num_rows))]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return path.stat().st_size


def frames(clip: Path) -> list[Image.Image]:
    with av.open(clip) as container:
        return [frame.to_image() for frame in container.decode(video=0)][::8]


def jpeg(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.resize(SIZE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def row(number: int, pictures: list[bytes]) -> dict[str, Any]:
    shown = [pictures[(number + k) % len(pictures)] for k in range(1 + number % 2)]
    texts = [
        {"user": f"What is shown in picture {k}?", "assistant": f"Scene {number}, detail {k}.", "source": "bench"}
        for k in range(3)
    ]
    return {"images": [{"bytes": data, "path": None} for data in shown], "texts": texts}


def phidata_convert(shape: str, jobs: int) -> Callable[[Path, Path, Path], None]:
    def convert(source: Path, out: Path, _: Path) -> None:
        with redirect_stderr(StringIO()):
            phidata.convert("cauldron", source=source, out=out, shape=shape, keep_bytes=True, jobs=jobs)

    return convert


def datasets_map(num_proc: int | None, *, decode: bool) -> Callable[[Path, Path, Path], None]:
    def convert(source: Path, out: Path, cache: Path) -> None:
        rows = datasets.load_dataset(
            "parquet", data_files=str(source / "*.parquet"), split="train", cache_dir=str(cache)
        )
        if not decode:
            rows = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
        text = datasets.Value("string")
        turn = {"images": rows.features["images"], "user": text, "assistant": text}
        features = datasets.Features({"id": text, "source": text, "conversations": datasets.List(turn)})
        rows.map(
            conversation, with_indices=True, remove_columns=["images", "texts"], features=features, num_proc=num_proc
        ).save_to_disk(str(out), num_proc=num_proc)

    return convert


def conversation(entry: dict[str, Any], number: int) -> dict[str, Any]:
    turns = [
        {"images": entry["images"] if k == 0 else [], "user": text["user"], "assistant": text["assistant"]}
        for k, text in enumerate(entry["texts"])
    ]
    return {"id": f"train-{number:010d}", "source": "cauldron", "conversations": turns}


CANDIDATES = {
    "datasets.map + save_to_disk": datasets_map(None, decode=True),
    "datasets.map + save_to_disk, num_proc=2": datasets_map(2, decode=True),
    "datasets.map + save_to_disk, undecoded": datasets_map(None, decode=False),
    "phidata convert --keep-bytes --to arrow --jobs 1": phidata_convert("arrow", 1),
    "phidata convert --keep-bytes --to arrow --jobs 2": phidata_convert("arrow", 2),
    "phidata convert --keep-bytes --to parquet --jobs 2": phidata_convert("parquet", 2),
    "phidata convert --keep-bytes --jobs 2": phidata_convert("images-jsonl", 2),
}


if __name__ == "__main__":
    main()
