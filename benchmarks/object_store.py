"""What a conversion into an object store takes: local room, requests, and seconds beside one into a folder.

    python benchmarks/object_store.py [--pictures 2000]

The store is a server of this machine, which is slow: its seconds say what a request costs here, and nothing of a store.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import s3fs
from moto.server import ThreadedMotoServer
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.streaming.store import of_server, serve

SHAPES = ("images-jsonl", "arrow", "parquet", "webdataset")
SHARD = 8 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    options = parser.parse_args()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3fs.S3FileSystem(key="k", secret="s", endpoint_url=f"http://{host}:{port}").mkdir("data")
    with tempfile.TemporaryDirectory() as folder, serve(of_server(host, port)) as store:
        work = Path(folder)
        write_pictures(work / "pictures", options.pictures)
        print("| shape | output | files | local room at most | in a folder | into the store | requests |")
        print("|---|---|---|---|---|---|---|")
        for shape in SHAPES:
            print(line(work, shape, store.url, store.requests), flush=True)
    server.stop()


def write_pictures(folder: Path, num: int) -> None:
    """Pictures of noise, 40 KB each."""
    (folder / "noise").mkdir(parents=True)
    for number in range(num):
        Image.frombytes("L", (224, 224), os.urandom(224 * 224)).save(folder / "noise" / f"{number:06}.jpg", quality=90)


def line(work: Path, shape: str, url: str, requests: list[str]) -> str:
    local_s, _ = convert(work, shape, str(work / shape))
    size, files = size_of(work / shape), sum(path.is_file() for path in (work / shape).rglob("*"))
    requests.clear()
    remote_s, room = convert(work, shape, f"s3://data/{shape}", url)
    kinds = Counter(request.partition(" ")[0] for request in requests)
    asked = ", ".join(f"{num} {kind}" for kind, num in sorted(kinds.items()))
    shutil.rmtree(work / shape)
    return (
        f"| {shape} | {size / 1e6:.1f} MB | {files} | {room / 1e6:.1f} MB | {local_s:.1f} s | {remote_s:.1f} s "
        f"| {asked} |"
    )


def convert(work: Path, shape: str, out: str, url: str = "") -> tuple[float, int]:
    """Seconds, and the most bytes that the scratch folder had."""
    command = [sys.executable, "-m", "phidata", "convert", "--from", "image-folder", "--source", str(work / "pictures")]
    command += [
        "--to",
        shape,
        "--shard-size",
        str(SHARD),
        "--out",
        out,
        "--scratch",
        str(work / "scratch"),
        "--keep-bytes",
    ]
    names = {"FSSPEC_S3_KEY": "k", "FSSPEC_S3_SECRET": "s", "FSSPEC_S3_ENDPOINT_URL": url}
    begun = time.monotonic()
    process = subprocess.Popen(
        command, env={**os.environ, **names}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    room = 0
    while process.poll() is None:
        room = max(room, size_of(work / "scratch"))
        time.sleep(0.2)
    assert process.returncode == 0, process.returncode
    return time.monotonic() - begun, room


def size_of(folder: Path) -> int:
    """The bytes of the files below a folder."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size  # noqa: PTH116, PTH118 - of many files
            except FileNotFoundError:
                continue  # just gone
    return total


if __name__ == "__main__":
    main()
