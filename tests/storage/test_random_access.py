"""Many files are read with few of them open."""

from __future__ import annotations

import gc
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import phidata
from phidata.storage.random_access import MAX_OPEN, RandomAccessFile
from phidata.storage.shape import Shape

from .conftest import RED, ROW_BYTES, numbered, write_folder


def num_open() -> int:
    gc.collect()  # files that earlier tests have left to be closed
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_no_more_than_some_files_are_open(tmp_path: Path) -> None:
    before = num_open()
    files = [RandomAccessFile(tmp_path / str(number)) for number in range(2 * MAX_OPEN)]
    for file in files:
        file.path.write_bytes(file.path.name.encode())
    for _ in range(2):
        assert [file.read(0, 9).decode() for file in files] == [file.path.name for file in files]
        assert num_open() - before <= MAX_OPEN
    again = pickle.loads(pickle.dumps(files[0]))
    assert again.read(0, 9) == b"0"
    del files, file, again
    assert num_open() <= before


def test_threads_that_read_more_files_than_are_open_read_what_is_there(tmp_path: Path) -> None:
    files = [RandomAccessFile(tmp_path / str(number)) for number in range(MAX_OPEN + 20)]
    for file in files:
        file.path.write_bytes(file.path.name.encode())
    before = num_open()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: files[number % len(files)].read(0, 9), range(20 * len(files))))
    assert found == [files[number % len(files)].path.name.encode() for number in range(20 * len(files))]
    assert num_open() - before <= MAX_OPEN


def test_a_split_of_many_shards_does_not_keep_them_open(tmp_path: Path, sharded: Shape) -> None:
    write_folder(tmp_path / "out", sharded, numbered(100), shard_bytes=ROW_BYTES)
    before = num_open()
    data = phidata.load(tmp_path / "out")
    assert [data.image_bytes(number) for number in range(100)] == [[RED]] * 100
    assert [row.id for row in data] == [f"row-{number}" for number in range(100)]
    assert num_open() - before <= MAX_OPEN
