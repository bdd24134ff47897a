"""Host memory and seconds that loading a model takes, beside the library's own `from_pretrained`.

    python benchmarks/loading.py [--size tiny|small|full] [--model FOLDER] [--ways NAME,…]

Makes a model folder with random weights (the full size: 8.3 GB of disk, 10 GB of memory) unless one is given, and
loads it in fresh processes. Largest rank: the most memory that one process had resident at any time (VmHWM). All
ranks: the sum of what is theirs alone, and the pages of files once, sampled every 10 ms; the libraries count too. Every
page of the weights is looked at once before the clock stops. In full size 4 bits take minutes without a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLE_S = 0.01
HEAD = "| loaded | seconds | largest rank, GB | all ranks, GB | all ranks : checkpoint |\n|---|---:|---:|---:|---:|"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to load: `dtype` None loads nothing, to tell what the libraries take."""

    dtype: str | None = "bfloat16"
    library: bool = False
    four_bit: bool = False
    ranks: int = 1
    partition: bool = False


WAYS = {
    "the libraries alone": Way(dtype=None),
    "from_pretrained, bf16": Way(library=True),
    "phitrain, bf16": Way(),
    "phitrain, fp32": Way(dtype="float32"),
    "phitrain, 4 bits": Way(four_bit=True),
    "the libraries alone, 2 ranks": Way(dtype=None, ranks=2),
    "phitrain, bf16, ZeRO 3 of 2 ranks": Way(ranks=2, partition=True),
    "phitrain, bf16, ZeRO 3 of 4 ranks": Way(ranks=4, partition=True),
    "phitrain, 4 bits, ZeRO 3 of 2 ranks": Way(four_bit=True, ranks=2, partition=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--model", type=Path, help="a folder, instead of a new one")
    parser.add_argument("--ways", default="", help="some of the ways, by name, separated by semicolons")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(WAYS[options.load], options.model)
        return
    with model_folder(options.model, options.size) as folder:
        checkpoint = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        print(f"checkpoint {checkpoint / 1e9:.3f} GB")
        print(HEAD)
        for name in options.ways.split(";") if options.ways else WAYS:
            told, peak = measure(name, folder)
            largest = max(rank["peak_bytes"] for rank in told)
            peak = max(peak, largest)  # a single rank's own count misses nothing between two samples
            seconds = max(rank["seconds"] for rank in told)
            share = f"{peak / checkpoint:.2f}"
            print(f"| {name} | {seconds:.1f} | {largest / 1e9:.2f} | {peak / 1e9:.2f} | {share} |", flush=True)


@contextlib.contextmanager
def model_folder(given: Path | None, size: str) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "model"
        line = [sys.executable, "-m", "phitrain", "init", str(folder), "--size", size]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        yield folder


def measure(name: str, folder: Path) -> tuple[list[dict[str, Any]], int]:
    """What each rank said of itself, and the most bytes that all of them had at the same time."""
    line = [sys.executable, __file__, "--load", name, "--model", str(folder)]
    ranks = [
        subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)
        for environment in environments(WAYS[name].ranks)
    ]
    peak = 0
    while any(rank.poll() is None for rank in ranks):
        peak = max(peak, held_bytes([rank.pid for rank in ranks]))
        time.sleep(SAMPLE_S)
    said = [rank.communicate()[0] for rank in ranks]
    if any(rank.returncode for rank in ranks):
        raise SystemExit(f"{name}: a rank failed")
    return [json.loads(text.splitlines()[-1]) for text in said], peak


def environments(num_ranks: int) -> list[dict[str, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {**os.environ, "WORLD_SIZE": str(num_ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(num_ranks)]


def held_bytes(processes: list[int]) -> int:
    """Anonymous and shared memory of all processes, and the largest one's file pages: the ranks map the same files."""
    counts = [status(process) for process in processes]
    own = sum(count.get("RssAnon", 0) + count.get("RssShmem", 0) for count in counts)
    return own + max(count.get("RssFile", 0) for count in counts)


def status(process: int | str) -> dict[str, int]:
    """The memory lines of /proc/PROCESS/status in bytes; none when the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}


def load(way: Way, folder: Path) -> None:
    """In a rank: import, load, and say how long loading took and how much memory there ever was."""
    import torch

    from phitrain.engine import close_world, open_world
    from phitrain.models.adapter import Loading, open_adapter
    from phitrain.models.phi3v import Phi3VForCausalLM

    world = open_world()
    adapter = open_adapter(str(folder))
    start = time.perf_counter()
    kept: Any = None
    if way.dtype is not None:
        dtype = getattr(torch, way.dtype)
        loading = Loading(
            dtype=dtype,
            attention="sdpa",
            device=world.device,
            four_bit=way.four_bit,
            partition=zero_config(way.dtype) if way.partition else None,
        )
        by_library: Callable[..., Any] = Phi3VForCausalLM.from_pretrained
        kept = by_library(folder, dtype=dtype) if way.library else adapter.load(loading)
    if kept is not None:
        touch(kept)
    seconds = time.perf_counter() - start
    peak = status("self")["VmHWM"]
    close_world()
    del kept
    print(json.dumps({"seconds": seconds, "peak_bytes": peak}))


def touch(model: Any) -> None:
    """Look at every page of the weights: `from_pretrained` maps a file and reads it when a value is first used."""
    for parameter in model.parameters():
        parameter.data.reshape(-1)[:: 4096 // parameter.element_size()].sum()


def zero_config(dtype: str) -> dict[str, Any]:
    return {
        "train_micro_batch_size_per_gpu": 1,
        "bf16": {"enabled": dtype == "bfloat16"},
        "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0},
    }


if __name__ == "__main__":
    main()
