"""Data folders in a store are read through local copies, whatever the network does."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

import phidata
from phidata import DataError, Sample, Stream, UsageError
from phidata.storage import remote
from phidata.storage.cache import FileCache, RemoteFile
from phidata.storage.remote import Patience

from .conftest import PICTURE, MakeFolder
from .store import Store, of_folder, serve


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PATIENCE", Patience(attempts=3, first_wait_s=0.0, timeout_s=0.3))


@pytest.fixture(scope="module")
def birds(make_folder: MakeFolder) -> Path:
    return make_folder(120, shape="parquet", per_shard=20)


@pytest.fixture
def store(birds: Path) -> Iterator[Store]:
    with serve(of_folder(birds.parent)) as found:
        yield found


def ids(stream: Stream[Sample]) -> list[str]:
    return [sample.row.id for sample in stream]


def put(folder: Path, url: str) -> str:
    """Copy a folder to a store in memory."""
    files = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            files.pipe_file(f"{url}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return url


def copies(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.suffix not in (".lock", ".used"))


@pytest.mark.parametrize("shape", ["arrow", "parquet", "webdataset"])
def test_a_remote_folder_is_streamed_as_the_local_one(make_folder: MakeFolder, tmp_path: Path, shape: str) -> None:
    folder = make_folder(60, shape=shape, per_shard=20)
    url = put(folder, f"memory://{shape}/birds")
    stream = phidata.stream(url, cache=tmp_path)
    samples = list(stream)
    assert [sample.row for sample in samples] == [sample.row for sample in phidata.stream(folder)]
    assert samples[0].image_bytes() == [PICTURE]
    assert samples[0].where.startswith(f"memory://{shape}/birds/")
    assert f"row 'birds-{samples[0].number}'" in samples[0].where
    phidata.stream(folder).load_state_dict(stream.state_dict())


def test_a_remote_folder_is_loaded_by_the_shards_that_are_used(store: Store, tmp_path: Path) -> None:
    data = phidata.load(f"{store.url}/birds", "train", cache=tmp_path)
    assert store.requests == ["GET /birds/manifest.json"]
    assert (len(data), data[0].id, data.images(1)[0].size) == (120, "birds-0", (4, 3))
    assert len(store.requests) == 2
    assert len(copies(tmp_path)) == 1


def test_a_shard_is_fetched_once(birds: Path, store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        ids(phidata.stream(f"{store.url}/birds", cache=tmp_path))
    fetched = [path for path in store.requests if path.endswith("parquet")]
    assert len(fetched) == len(set(fetched)) == len(phidata.stream(birds).sources[0].counts)


def test_large_shards_come_in_parts(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phidata.storage.cache.CHUNK_BYTES", 1000)
    store.faults = ["", "", "cut", "500", "", "hang"]
    data = phidata.load(f"{store.url}/birds", cache=tmp_path)
    assert data[0].id == "birds-0"
    assert len(store.requests) == 8


def test_a_server_that_knows_no_parts_sends_all(birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phidata.storage.cache.CHUNK_BYTES", 3000)
    with serve(of_folder(birds.parent, knows_parts=False)) as store:
        assert phidata.load(f"{store.url}/birds", cache=tmp_path)[0].id == "birds-0"
        assert len(store.requests) == 2


@pytest.mark.parametrize("fault", ["500", "503", "429", "cut", "hang", "damage"])
def test_what_passes_is_tried_again(store: Store, tmp_path: Path, fault: str) -> None:
    data = phidata.load(f"{store.url}/birds", cache=tmp_path)
    store.faults = [fault, fault]
    assert data[0].id == "birds-0"
    assert len(copies(tmp_path)) == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", r"can not be read, 3 times \(.*500.*\); try again when the store answers"),
        ("cut", r"can not be read, 3 times \(.*\); try again"),
        ("hang", r"can not be read, 3 times \(.*Timeout.*\); try again"),
        ("403", r"can not be read \(.*403.*\); check your access to it"),
        ("404", r"is not there; check the address, or copy it there"),
        ("damage", r"is not what its manifest says: its sha256 is \w{64}, not \w{64}; copy it there again"),
    ],
)
def test_what_stays_is_told_in_one_sentence(store: Store, tmp_path: Path, fault: str, message: str) -> None:
    data = phidata.load(f"{store.url}/birds?key=secret", cache=tmp_path)
    store.faults = [fault] * 9
    with pytest.raises(DataError, match=rf"^{store.url}/birds/data/train-00000-of-0000\d\.parquet {message}") as error:
        data[0]
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)
    assert copies(tmp_path) == []


def test_a_half_fetched_shard_is_never_read(birds: Path, store: Store, tmp_path: Path) -> None:
    """What a killed process has left is fetched again."""
    data = phidata.load(f"{store.url}/birds", cache=tmp_path)
    sha256 = json.loads((birds / "manifest.json").read_bytes())["splits"]["train"]["files"][0]["sha256"]
    (tmp_path / f"{sha256}.unfinished").write_bytes(b"PAR1")
    (tmp_path / f"{'0' * 64}.unfinished").write_bytes(b"PAR1")
    assert data[0].id == "birds-0"
    assert copies(tmp_path) == [tmp_path / f"{sha256}.parquet"]


def test_a_cache_holds_no_more_than_its_limit(birds: Path, store: Store, tmp_path: Path) -> None:
    sizes = sorted(path.stat().st_size for path in (birds / "data").iterdir())
    limit = sum(sizes[-3:])
    stream = phidata.stream(f"{store.url}/birds", cache=tmp_path, cache_bytes=limit, window=2)
    whole = ids(phidata.stream(birds, window=2))
    for name, sample in zip(whole, stream, strict=True):
        assert sample.row.id == name
        assert sum(path.stat().st_size for path in copies(tmp_path)) <= limit
    fetched = [path for path in store.requests if path.endswith("parquet")]
    assert len(fetched) == len(set(fetched))


def test_what_was_used_least_recently_goes(
    birds: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phidata.storage.cache.NOTED_S", 0.0)
    sizes = sorted(path.stat().st_size for path in (birds / "data").iterdir())
    data = phidata.load(f"{store.url}/birds", cache=tmp_path, cache_bytes=sum(sizes[-2:]))
    begins = [0, *phidata.stream(birds).sources[0].counts]
    first, second, third = sum(begins[:1]), sum(begins[:2]), sum(begins[:3])
    for row in (first, second, first, third, first):
        data[row]
    assert [path[-23:-17] for path in store.requests[1:]] == ["-00000", "-00001", "-00002"]


def test_a_copy_that_somebody_has_open_stays(tmp_path: Path) -> None:
    files = [
        RemoteFile(url=url, num_bytes=10, sha256=hashlib.sha256(content).hexdigest())
        for url, content in ((f"memory://open/{letter}.bin", letter.encode() * 10) for letter in "abc")
    ]
    for file, letter in zip(files, "abc", strict=True):
        fsspec.filesystem("memory").pipe_file(file.url, letter.encode() * 10)
    others, own = FileCache(tmp_path, 20), FileCache(tmp_path, 20)
    held = others.open(files[0], Path.read_bytes)
    for file in files[1:]:
        own.open(file, Path.read_bytes)
    assert copies(tmp_path) == sorted(tmp_path / file.copy_name for file in (files[0], files[2]))
    del held, others
    own.open(files[1], Path.read_bytes)
    assert copies(tmp_path) == sorted(tmp_path / file.copy_name for file in (files[2], files[1]))


READER = """
import sys, phidata
url, cache, limit = sys.argv[1:]
for sample in phidata.stream(url, cache=cache, cache_bytes=limit, window=2):
    print(sample.row.id)
"""


def start_reader(url: str, cache: Path, limit: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", READER, f"{url}/birds", str(cache), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_share_the_copies(birds: Path, store: Store, tmp_path: Path) -> None:
    limit = sum(path.stat().st_size for path in (birds / "data").iterdir())
    readers = [start_reader(store.url, tmp_path, limit) for _ in range(2)]
    found = [reader.communicate()[0].split() for reader in readers]
    assert found == [ids(phidata.stream(birds, window=2))] * 2
    fetched = [path for path in store.requests if path.endswith("parquet")]
    assert len(fetched) == len(set(fetched)) == 6


def test_a_process_that_is_killed_while_it_fetches_leaves_nothing_in_the_way(
    birds: Path, store: Store, tmp_path: Path
) -> None:
    store.faults = ["", "", "hang"]
    reader = start_reader(store.url, tmp_path, 1 << 20)
    assert store.hanging.wait(30)
    left = copies(tmp_path)
    reader.kill()
    reader.communicate()
    assert ids(phidata.stream(f"{store.url}/birds", cache=tmp_path)) == ids(phidata.stream(birds))
    assert [path.suffix for path in left] == [".unfinished"]
    assert len(copies(tmp_path)) == 6


def test_a_dataset_of_the_library_is_made_of_local_files(make_folder: MakeFolder, tmp_path: Path) -> None:
    data = phidata.load(put(make_folder(5), "memory://library/birds"), cache=tmp_path)
    with pytest.raises(UsageError, match=r"arrow is not here; copy its folder here to open it with datasets"):
        data.to_hf()


def test_a_store_whose_data_has_changed_is_not_read_on(make_folder: MakeFolder, tmp_path: Path) -> None:
    stream = phidata.stream(put(make_folder(5), "memory://changed/birds"), cache=tmp_path)
    put(make_folder(5, name="cats"), "memory://changed/birds")
    with pytest.raises(DataError, match="memory://changed/birds has changed since it was opened"):
        next(iter(stream))


def test_rows_at_random_out_of_more_than_the_cache_holds_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"shards of \d+ bytes are read in turns and the cache holds 9000: .*window=…"):
        phidata.stream(f"{store.url}/birds", cache=tmp_path, cache_bytes=9000)
    assert phidata.stream(f"{store.url}/birds", cache=tmp_path, cache_bytes=9000, shuffle=False).num_samples == 120


def test_a_shard_that_the_cache_can_not_hold_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a cache of 1024 bytes can not hold http://.*; give a larger cache_bytes"):
        phidata.load(f"{store.url}/birds", cache=tmp_path, cache_bytes="1KB")[0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://{}/nowhere", "there is no http://.*/nowhere/manifest.json; only a finished data folder"),
        ("nosuch://x/birds", r"nosuch://x/birds/manifest.json can not be opened \(Protocol not known: nosuch\)"),
        ("abfs://x/birds", "abfs:// needs adlfs, which is not installed; pip install adlfs"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(store: Store, url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        phidata.load(url.format(store.url.removeprefix("http://")))


def test_a_remote_folder_of_image_files_is_refused(make_folder: MakeFolder) -> None:
    url = put(make_folder(3, shape="images-jsonl"), "memory://jsonl/birds")
    with pytest.raises(UsageError, match="has a file for every image"):
        phidata.stream(url)
    with pytest.raises(UsageError, match="holds its images itself"):
        phidata.load(url, images="images")
