"""What it costs to go on in the middle of a shuffled epoch, beside `datasets` and torchdata, and what the order costs.

    python benchmarks/stream.py [--rows 10000000] [--ways NAME,…] [--data FOLDER]

Makes an Arrow folder of small rows without pictures (about 90 bytes each), which phidata and `datasets` both map into
memory. Each way reads 90 % of an epoch, saves its state to a file and reads 100 rows more. A fresh process opens the
data, loads the state and reads 100 rows: the time from opening to the first row, imports left out, and the most memory
it ever had. Exact: those are the rows that the first process read. `datasets` shuffles its shards and a buffer of
10 000 rows; torchdata draws a permutation of all rows and fetches the 1000 of a batch at once; phidata gives any order.
With 10 million rows the reading takes some minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

NUM_SHARDS = 20
ROWS_A_BATCH = 10_000
BATCH = 1000  # rows that the ways with batches give at a time
NUM_COMPARED = 100
SPLIT = "train"

Rows = Iterator[str]  # their ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=5, help="how many times each way goes on")
    parser.add_argument("--ways", default=",".join(WAYS), help="some of the ways, by name")
    parser.add_argument("--data", type=Path, help="a folder to make the data in, or to find it there")
    parser.add_argument("--go-on", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.go_on:
        go_on(options.go_on, options.data)
        return
    with contextlib.ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / "rows" / "manifest.json").exists():
            write_rows(folder / "rows", options.rows)
        resuming(folder, options.rows, options.ways.split(","), options.repeats)
        order_costs(folder / "rows", options.rows)


def resuming(folder: Path, num_rows: int, ways: list[str], repeats: int) -> None:
    print(f"| going on at 90 % of {num_rows:,} rows | first row, ms | exact | state, bytes | most memory, MB |")
    print("|---|---:|---|---:|---:|")
    for name in ways:
        rows, state = WAYS[name](folder / "rows", None)
        at = num_rows * 9 // 10 // BATCH * BATCH
        for _ in itertools.islice(rows, at):
            pass
        saved = pickle.dumps(state())
        (folder / "state").write_bytes(saved)
        expected = list(itertools.islice(rows, NUM_COMPARED))
        del rows, state
        found = [measured(name, folder) for _ in range(repeats)]
        seconds = min(one["seconds"] for one in found)
        exact = "yes" if all(one["ids"] == expected for one in found) else "no"
        memory = max(one["peak_bytes"] for one in found)
        print(f"| {name} | {seconds * 1e3:,.1f} | {exact} | {len(saved):,} | {memory / 1e6:,.0f} |", flush=True)


def measured(name: str, folder: Path) -> dict[str, Any]:
    line = [sys.executable, __file__, "--go-on", name, "--data", str(folder)]
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found: dict[str, Any] = pickle.loads(done.stdout)
    return found


def go_on(name: str, folder: Path) -> None:
    """In a fresh process: load the state and say what came, and after how long."""
    state = pickle.loads((folder / "state").read_bytes())
    way = WAYS[name]
    IMPORTS[name]()
    begin = time.perf_counter()
    rows, _ = way(folder / "rows", state)
    ids = [next(rows)]
    seconds = time.perf_counter() - begin
    ids += itertools.islice(rows, NUM_COMPARED - 1)
    found = {"seconds": seconds, "ids": ids, "peak_bytes": memory("VmHWM")}
    sys.stdout.buffer.write(pickle.dumps(found))


def by_phidata(folder: Path, state: Any) -> tuple[Rows, Callable[[], Any]]:
    import phidata

    stream = phidata.stream(folder, SPLIT)
    if state is not None:
        stream.load_state_dict(state)
    return (sample.row.id for sample in stream), stream.state_dict


def by_phidata_in_torchdata(folder: Path, state: Any) -> tuple[Rows, Callable[[], Any]]:
    from torchdata.stateful_dataloader import StatefulDataLoader

    import phidata

    stream = phidata.stream(folder, SPLIT).map(lambda sample: sample.row.id).batches(BATCH)
    return _of_loader(StatefulDataLoader(stream, batch_size=None), state)


def by_datasets(folder: Path, state: Any) -> tuple[Rows, Callable[[], Any]]:
    import datasets

    rows = datasets.load_from_disk(str(folder))[SPLIT].select_columns("id").to_iterable_dataset(NUM_SHARDS)
    rows = rows.shuffle(seed=0, buffer_size=10_000)
    if state is not None:
        rows.load_state_dict(state)
    return (row["id"] for row in rows), rows.state_dict


def by_torchdata(folder: Path, state: Any) -> tuple[Rows, Callable[[], Any]]:
    import datasets
    import torch
    from torchdata.stateful_dataloader import StatefulDataLoader

    rows: Any = datasets.load_from_disk(str(folder))[SPLIT].select_columns("id")
    generator = torch.Generator().manual_seed(0)
    loader: Any = StatefulDataLoader(rows, batch_size=BATCH, shuffle=True, generator=generator, collate_fn=_ids)
    return _of_loader(loader, state)


def _ids(rows: list[dict[str, str]]) -> list[str]:
    return [row["id"] for row in rows]


def _of_loader(loader: Any, state: Any) -> tuple[Rows, Callable[[], Any]]:
    if state is not None:
        loader.load_state_dict(state)
    return itertools.chain.from_iterable(loader), loader.state_dict


WAYS = {
    "phidata": by_phidata,
    "phidata in StatefulDataLoader": by_phidata_in_torchdata,
    "datasets IterableDataset": by_datasets,
    "torchdata StatefulDataLoader": by_torchdata,
}


def _import_datasets() -> None:
    import datasets  # noqa: F401


def _import_torchdata() -> None:
    import torchdata.stateful_dataloader  # noqa: F401


def _import_phidata() -> None:
    import phidata.storage.arrow
    import phidata.storage.column_rows
    import phidata.storage.mapped_rows
    import phidata.streaming  # noqa: F401


IMPORTS: dict[str, Callable[[], None]] = {
    "phidata": _import_phidata,
    "phidata in StatefulDataLoader": lambda: (_import_torchdata(), _import_phidata())[0],
    "datasets IterableDataset": _import_datasets,
    "torchdata StatefulDataLoader": lambda: (_import_torchdata(), _import_datasets())[0],
}


def order_costs(folder: Path, num_rows: int) -> None:
    """Print what finding the rows of samples costs, and how memory grows while rows are read."""
    import phidata
    from phidata.streaming.stream import BLOCK

    options: dict[str, dict[str, Any]] = {
        "all at random": {},
        "a window of 4 shards": {"window": 4},
        "a mix of one": {"mix": {folder.name: 1.0}},
        "as they stand": {"shuffle": False},
    }
    print()
    print("| order | µs a row, order alone | µs a row, with reading it | growth of memory over 500 000 rows, MB |")
    print("|---|---:|---:|---:|")
    for name, arguments in options.items():
        stream = phidata.stream(folder, SPLIT, **arguments)
        order = min(_seconds_of_order(stream, num_rows, BLOCK) for _ in range(3)) / num_rows
        rows = iter(stream)
        for _ in itertools.islice(rows, 50_000):
            pass
        before, begin = memory("RssAnon"), time.perf_counter()
        count = sum(1 for _ in itertools.islice(rows, 500_000))
        reading = (time.perf_counter() - begin) / max(1, count)
        growth = (memory("RssAnon") - before) / 1e6
        print(f"| {name} | {order * 1e6:.3f} | {reading * 1e6:.2f} | {growth:.1f} |", flush=True)


def _seconds_of_order(stream: Any, num_rows: int, block: int) -> float:
    """All rows of an epoch, a block at a time as an iteration finds them."""
    begin = time.perf_counter()
    for first in range(0, num_rows, block):
        stream._plan.find(0, np.arange(first, min(first + block, num_rows)))
    return time.perf_counter() - begin


def memory(name: str) -> int:
    """A memory line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def write_rows(folder: Path, num_rows: int) -> None:
    """Write a finished Arrow folder of rows `row-0`, `row-1`, … as the converters' writer would, by columns."""
    import pyarrow as pa

    from phidata.storage.columns import SCHEMA
    from phidata.storage.manifest import DataFile, ImageTree, Manifest, RowLedger, SplitLedger
    from phidata.storage.shard_names import shard_folder, shard_name
    from phidata.storage.splits import finish_folder

    place = shard_folder(folder, "arrow", SPLIT)
    place.mkdir(parents=True)
    files = []
    bounds = np.linspace(0, num_rows, NUM_SHARDS + 1).astype(int).tolist()
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        path = place / shard_name(SPLIT, number, NUM_SHARDS, "arrow")
        with path.open("wb") as file, pa.ipc.new_stream(file, SCHEMA) as writer:
            for first in range(begin, end, ROWS_A_BATCH):
                writer.write_batch(batch(first, min(first + ROWS_A_BATCH, end)))
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        name = path.relative_to(folder).as_posix()
        files.append(DataFile(name=name, rows=end - begin, bytes=path.stat().st_size, sha256=digest.hexdigest()))
    ledger = {"rows_in": num_rows, "written": num_rows, "skipped": 0, "failed": 0}
    manifest = Manifest(
        format_version=2,
        name="rows",
        converter="merge",
        shape="arrow",
        versions={},
        options={},
        source={},
        rows=RowLedger(**ledger, skip_reasons={}),
        splits={SPLIT: SplitLedger(files=tuple(files), **ledger)},
        images=ImageTree(num=0, bytes=0, sha256=hashlib.sha256().hexdigest()),
    )
    finish_folder(folder, manifest)


def batch(begin: int, end: int) -> Any:
    import pyarrow as pa

    from phidata.storage.columns import SCHEMA

    turn = {"images": [], "user": "What is this?", "assistant": "A bird.", "answers": None}
    turns = pa.array([[turn]], SCHEMA.field("conversations").type)
    count = end - begin
    columns = [
        pa.array([f"row-{number}" for number in range(begin, end)]),
        pa.repeat("s", count),
        turns.take(pa.array(np.zeros(count, np.int64))),
        pa.nulls(count, pa.string()),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


if __name__ == "__main__":
    main()
