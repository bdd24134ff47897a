"""Data folders in an S3 store, over a network with faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

import phidata
from phidata import DataError, UsageError
from phidata.storage import remote
from phidata.storage.remote import Patience

from .conftest import MakeFolder
from .store import Store, of_server, serve


@pytest.fixture(scope="module")
def bucket(make_folder: MakeFolder) -> Iterator[tuple[Path, str, int]]:
    """A folder that lies in the bucket `data` of a server, and the host and port of that."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    folder = make_folder(60, per_shard=20)
    files = s3fs.S3FileSystem(key="k", secret="s", endpoint_url=f"http://{host}:{port}", skip_instance_cache=True)
    files.mkdir("data")
    files.put(str(folder), "data/birds", recursive=True)
    yield folder, host, port
    server.stop()


@pytest.fixture
def store(bucket: tuple[Path, str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(remote, "PATIENCE", Patience(attempts=3, first_wait_s=0.0, timeout_s=1.0))
    with serve(of_server(*bucket[1:])) as store:
        for name, value in (("KEY", "k"), ("SECRET", "s"), ("ENDPOINT_URL", store.url)):
            monkeypatch.setitem(fsspec_options(), name.lower(), value)
        yield store


def fsspec_options() -> dict[str, str]:
    """What `FSSPEC_S3_…` variables set when fsspec is imported."""
    from fsspec.config import conf

    options: dict[str, str] = conf.setdefault("s3", {})
    return options


@pytest.mark.usefixtures("store")
def test_a_folder_in_s3_is_streamed_as_the_local_one(bucket: tuple[Path, str, int], tmp_path: Path) -> None:
    stream = phidata.stream("s3://data/birds", cache=tmp_path)
    local = phidata.stream(bucket[0])
    assert [sample.row for sample in stream] == [sample.row for sample in local]
    assert stream.state_dict() | {"position": 0} == local.state_dict() | {"position": 0}


@pytest.mark.parametrize("fault", ["500", "cut", "hang"])
def test_faults_that_pass_are_outlasted(store: Store, tmp_path: Path, fault: str) -> None:
    data = phidata.load("s3://data/birds", cache=tmp_path)
    store.faults = [fault]
    assert data[0].id == "birds-0"
    assert store.faults == []


@pytest.mark.usefixtures("store")
def test_a_bucket_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match=r"there is no s3://nowhere/birds/manifest\.json"):
        phidata.load("s3://nowhere/birds")


def test_a_store_that_refuses_is_told(store: Store, tmp_path: Path) -> None:
    data = phidata.load("s3://data/birds", cache=tmp_path)
    store.faults = ["403"] * 9
    with pytest.raises(DataError, match=r"^s3://data/birds/train/train-00000-of-0000\d\.arrow can not be read"):
        data[0]
