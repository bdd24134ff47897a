"""`phidata convert` from an S3 store and into one, over a network with faults, killed at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import phidata
from phidata import DataError, UsageError
from phidata.storage import objects, remote
from phidata.storage.remote import Patience
from phidata.storage.source_copy import SourceCopy
from tests.streaming.store import Answer

from .conftest import ROOT, run, start, tree
from .delivering import deliver
from .s3 import BUCKET, KEYS, Bucket, served_bucket
from .test_delivery import write_birds


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with served_bucket() as bucket:
        yield bucket


@pytest.fixture
def store(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The bucket, empty, asked with little patience."""
    from fsspec.config import conf

    bucket.clear()
    monkeypatch.setattr(remote, "PATIENCE", Patience(attempts=3, first_wait_s=0.0, timeout_s=2.0))
    for name, value in (*KEYS.items(), ("ENDPOINT_URL", bucket.store.url)):
        monkeypatch.setitem(conf.setdefault("s3", {}), name.lower(), value)
    return bucket


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_birds(tmp_path_factory.mktemp("birds") / "abc", "abc")


def content_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in tree(folder)}


def test_from_a_store_into_a_store(tmp_path: Path, six_clips: Path, store: Bucket) -> None:
    """The command, and what it leaves nowhere: the keys, and the scratch folder."""
    store.files.put(str(six_clips), f"{BUCKET}/clips", recursive=True)
    arguments = ["--from", "ucf101", "--num-frames", "1", "--to", "parquet", "--scratch", tmp_path / "scratch"]
    arguments += ["--source", f"{BUCKET}/clips", "--out", f"{BUCKET}/data"]
    code, table, err = run(*arguments, **store.environment)
    assert code == 0, err
    assert table.splitlines()[-1].endswith(f"in {BUCKET}/data")
    phidata.convert("ucf101", source=six_clips, out=tmp_path / "local", num_frames=1, shape="parquet")
    local, there = content_of(tmp_path / "local"), store.content(f"{BUCKET}/data")
    manifest = json.loads(there.pop("manifest.json"))
    source = manifest.pop("source")
    assert source.pop("sha256")
    assert source == {"kind": "folder", "url": f"{BUCKET}/clips", "files": 6, "bytes": 57948}
    assert manifest == {k: v for k, v in json.loads(local.pop("manifest.json")).items() if k != "source"}
    assert there == local
    assert list((tmp_path / "scratch").iterdir()) == []
    assert len(phidata.load(f"{BUCKET}/data", "train", cache=tmp_path / "cache")) == 3
    assert phidata.verify(f"{BUCKET}/data").ok
    assert KEYS["SECRET"] not in err + table


def test_what_is_sent_arrives_whatever_happens(tmp_path: Path, store: Bucket, folder: Path) -> None:
    store.store.faults = random.Random(6).sample(["500", "503", "cut", "500", *[""] * 26], 30)
    deliver(f"{BUCKET}/birds", tmp_path / "scratch", folder)
    assert store.store.faults == []
    assert store.content(f"{BUCKET}/birds") == content_of(folder)


@pytest.mark.parametrize("fault", ["500", "503", "429", "cut", "hang"])
def test_a_fault_that_passes_is_outlasted(tmp_path: Path, store: Bucket, fault: str) -> None:
    (tmp_path / "file").write_bytes(b"content")
    store.store.faults = [fault]
    objects.send_file(tmp_path / "file", f"{BUCKET}/file", is_new=True)
    assert store.content(BUCKET) == {"file": b"content"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("500", r"can not be written, 3 times \(.*\); try again when the store answers"),
        ("hang", r"can not be written, 3 times \(.*Timeout.*\); try again when the store answers"),
        ("403", r"can not be written \(.*\); check your access to it"),
    ],
)
def test_a_fault_that_stays_is_told_in_one_sentence(
    tmp_path: Path, store: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str, message: str
) -> None:
    monkeypatch.setattr(remote, "PATIENCE", Patience(attempts=3, first_wait_s=0.0, timeout_s=0.2))
    store.store.faults = [""] * 20 + [fault] * 999
    with pytest.raises(DataError, match=rf"^{BUCKET}/birds/\S+ {message}$") as failure:
        deliver(f"{BUCKET}/birds", tmp_path / "scratch", folder)
    assert "\n" not in str(failure.value)
    assert "manifest.json" not in store.content(f"{BUCKET}/birds")
    store.store.faults = []
    deliver(f"{BUCKET}/birds", tmp_path / "scratch", folder)
    assert store.content(f"{BUCKET}/birds") == content_of(folder)


@pytest.mark.usefixtures("store")
def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        deliver("s3://nowhere/birds", tmp_path / "scratch", folder)
    assert str(refusal.value) == (
        "s3://nowhere/birds can not be written, its bucket is not there; make it or check --out"
    )


def test_keys_that_the_store_does_not_take_are_told(tmp_path: Path, store: Bucket, folder: Path) -> None:
    store.store.faults = ["403"]
    with pytest.raises(DataError, match=rf"^{BUCKET}/birds can not be listed \(Forbidden\); check your access to it$"):
        deliver(f"{BUCKET}/birds", tmp_path / "scratch", folder)


@pytest.mark.usefixtures("store")
def test_no_keys_at_all_are_told(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.config import conf

    for name in ("key", "secret"):
        monkeypatch.delitem(conf["s3"], name)
    for name, value in (
        ("EC2_METADATA_DISABLED", "true"),
        ("CONFIG_FILE", "none"),
        ("SHARED_CREDENTIALS_FILE", "none"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(
        DataError, match=r"can not be listed \(Unable to locate credentials\); check your access to it$"
    ):
        deliver(f"{BUCKET}/birds", tmp_path / "scratch", folder)


def test_a_large_file_is_known_by_its_checksum_in_parts(
    tmp_path: Path, store: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda *_, **__: 5 << 20)
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)
    (tmp_path / "file").write_bytes(bytes(11 << 20))
    assert objects.send_file(tmp_path / "file", f"{BUCKET}/file", is_new=True)
    assert len([request for request in store.store.requests if request.startswith("PUT")]) == 3
    store.store.requests.clear()
    assert not objects.send_file(tmp_path / "file", f"{BUCKET}/file", is_new=False)
    assert [request.partition(" ")[0] for request in store.store.requests] == ["HEAD"]


def test_what_a_store_loses_is_sent_again(tmp_path: Path, store: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"content")
    lost: list[str] = []

    def lose(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        if request.command == "PUT" and not lost:
            lost.append(request.path)
            return Answer(status=200, headers={"ETag": '"00"'})
        return store.killer.source(request, body)

    monkeypatch.setattr(store.store, "source", lose)
    objects.send_file(tmp_path / "file", f"{BUCKET}/file", is_new=True)
    assert lost == ["/birds/file"]
    assert store.content(BUCKET) == {"file": b"content"}


def test_what_comes_damaged_is_fetched_again(tmp_path: Path, store: Bucket) -> None:
    store.files.pipe_file(f"{BUCKET}/rows.jsonl", b"content")
    for fault in ("damage", "cut", "500", "hang"):
        store.store.faults = ["", "", fault]
        copy = SourceCopy(f"{BUCKET}/rows.jsonl", tmp_path)
        assert copy.path.read_bytes() == b"content"
        copy.remove()
        assert store.store.faults == []


def sent_by(store: Bucket, scratch: Path, folder: Path) -> subprocess.Popen[str]:
    """Start a process that sends a folder."""
    command = [sys.executable, "-m", "tests.conversion.delivering", f"{BUCKET}/birds", str(scratch), str(folder)]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **store.environment}, stderr=subprocess.PIPE, text=True
    )


def convert(store: Bucket, scratch: Path, source: str) -> subprocess.Popen[str]:
    """Start a conversion from the store into it."""
    arguments = ["--from", "ucf101", "--source", source, "--num-frames", "1", "--jobs", "1", "--scratch", scratch]
    return start(*arguments, "--out", f"{BUCKET}/birds", **store.environment)


def killed(
    store: Bucket, begin: Callable[[], subprocess.Popen[str]], whole: dict[str, bytes], *, num_kills: int, seed: int
) -> list[str]:
    """Kill a run at requests drawn by the seed, go on, and again, until one ends; begin anew until there were so many
    kills. What each was killed at."""
    draw = random.Random(seed)
    strikes: list[str] = []
    while len(strikes) < num_kills:
        process = begin()
        store.killer.aim(
            process, draw.choice((draw.randint(1, 40), draw.randint(1, 12))), carried_out=draw.random() < 0.5
        )
        _, err = process.communicate()
        there = store.content(f"{BUCKET}/birds")
        if process.returncode == -signal.SIGKILL:
            strikes.append(store.killer.struck)
            if "manifest.json" in there:
                assert there.items() >= whole.items()
            continue
        assert process.returncode == 0 or "holds a finished conversion" in err, err
        assert there == whole
        store.files.rm(f"{BUCKET}/birds", recursive=True)
    store.killer.process = None
    process = begin()
    _, err = process.communicate()
    assert process.returncode == 0 or "holds a finished conversion" in err, err
    assert store.content(f"{BUCKET}/birds") == whole
    return strikes


def test_killed_while_it_sends_it_goes_on(tmp_path: Path, store: Bucket, folder: Path) -> None:
    strikes = killed(
        store, lambda: sent_by(store, tmp_path / "scratch", folder), content_of(folder), num_kills=5, seed=4
    )
    assert len(strikes) == 5
    assert list((tmp_path / "scratch").iterdir()) == []


def test_ctrl_c_while_it_sends_ends_it_and_it_goes_on(tmp_path: Path, store: Bucket, folder: Path) -> None:
    store.store.hanging.clear()
    store.store.faults = [*[""] * 20, "hang"]
    process = sent_by(store, tmp_path / "scratch", folder)
    assert store.store.hanging.wait(60)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, err.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")
    assert not any(name.startswith(".journal/lock") for name in store.content(f"{BUCKET}/birds"))
    deliver(f"{BUCKET}/birds", tmp_path / "another", folder)
    assert store.content(f"{BUCKET}/birds") == content_of(folder)


@pytest.mark.processes
@pytest.mark.parametrize("source", ["a file", "a folder"])
def test_killed_at_any_moment_a_conversion_goes_on(tmp_path: Path, six_clips: Path, store: Bucket, source: str) -> None:
    if source == "a folder":
        url = f"{BUCKET}/clips"
        store.files.put(str(six_clips), url, recursive=True)
    else:
        url = f"{BUCKET}/clips.tar"
        with tarfile.open(tmp_path / "clips.tar", "w") as package:
            package.add(six_clips, arcname="UCF101_subset")
        store.files.put_file(str(tmp_path / "clips.tar"), url)
    process = convert(store, tmp_path / "scratch", url)
    _, err = process.communicate()
    assert process.returncode == 0, err
    whole = store.content(f"{BUCKET}/birds")
    store.files.rm(f"{BUCKET}/birds", recursive=True)
    strikes = killed(store, lambda: convert(store, tmp_path / "scratch", url), whole, num_kills=20, seed=6)
    assert len(strikes) == 20
