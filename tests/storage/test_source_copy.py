"""Sources in stores are fetched once, whole, and found to be what they were when they were listed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import fsspec
import pytest

from phidata import DataError, UsageError
from phidata.storage import objects, remote, source_copy
from phidata.storage.remote import Patience, read_part
from phidata.storage.source import find_source
from phidata.storage.source_copy import SourceCopy
from tests.streaming.store import Answer, of_folder, serve

FILES = {"a/1.txt": b"one", "a/2.txt": b"a longer one", "b.jsonl": b"", "c.txt": bytes(range(40))}


@pytest.fixture
def url() -> Iterator[str]:
    """A folder in a store in memory."""
    files = fsspec.filesystem("memory")
    for name, content in FILES.items():
        files.pipe_file(f"memory://source/clips/{name}", content)
    yield "memory://source/clips"
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_fetched_with_all_below_it(tmp_path: Path, url: str) -> None:
    source = find_source(url, (), scratch=tmp_path)
    lines = "".join(f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}\n" for name in sorted(FILES))
    assert content(source.path) == FILES
    assert (source.name, source.folder) == (url, None)
    assert source.identity == {
        "kind": "folder",
        "url": url,
        "files": 4,
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "bytes": 55,
    }


def test_a_pattern_fetches_only_what_it_names(tmp_path: Path, url: str) -> None:
    assert content(SourceCopy(f"{url}/a/*.txt", tmp_path).path) == {"1.txt": b"one", "2.txt": b"a longer one"}
    assert set(content(SourceCopy(f"{url}/*.txt", tmp_path).path)) == {"a/1.txt", "a/2.txt", "c.txt"}


@pytest.mark.parametrize(("name", "kind"), [("c.txt", "archive"), ("b.jsonl", "file")])
def test_one_object_is_a_file(tmp_path: Path, url: str, name: str, kind: str) -> None:
    source = find_source(f"{url}/{name}", (), scratch=tmp_path)
    assert source.path.name == name
    assert source.identity == {
        "kind": kind,
        "url": f"{url}/{name}",
        "sha256": hashlib.sha256(FILES[name]).hexdigest(),
        "bytes": len(FILES[name]),
    }


def test_an_interrupted_fetching_goes_on_where_it_was(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after each part of ten bytes, it reads each part once."""
    left = 0
    asked: list[str] = []

    def read(address: str, begin: int, end: int, *, total: int) -> bytes:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        asked.append(f"{address.removeprefix(url)} {begin}")
        return read_part(address, begin, end, total=total)

    monkeypatch.setattr(source_copy, "REQUEST_BYTES", 10)
    monkeypatch.setattr(source_copy, "read_part", read)
    monkeypatch.setattr("phidata.storage.abreast.THREADS", 1)
    for _ in range(6):
        left = 1
        with pytest.raises(KeyboardInterrupt):
            SourceCopy(url, tmp_path)
    left = 1
    assert content(SourceCopy(url, tmp_path).path) == FILES
    assert asked == ["/a/1.txt 0", "/a/2.txt 0", "/a/2.txt 10", *(f"/c.txt {begin}" for begin in (0, 10, 20, 30))]


def test_a_copy_is_used_again_until_the_store_has_another(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SourceCopy(url, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(source_copy, "read_part", None)
        assert SourceCopy(url, tmp_path).sha256 == first.sha256
    fsspec.filesystem("memory").pipe_file(f"{url}/c.txt", b"other")
    fsspec.filesystem("memory").rm_file(f"{url}/a/1.txt")
    first.close()
    second = SourceCopy(url, tmp_path)
    assert content(second.path) == {"a/2.txt": b"a longer one", "b.jsonl": b"", "c.txt": b"other"}
    assert second.sha256 != first.sha256


def test_what_changes_while_it_is_read_is_found(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(address: str, begin: int, end: int, *, total: int) -> bytes:
        fsspec.filesystem("memory").pipe_file(f"{url}/a/2.txt", b"another one.")
        return read_part(address, begin, end, total=total)

    with monkeypatch.context() as patch:
        patch.setattr(source_copy, "read_part", read)
        with pytest.raises(DataError, match=f"^{url} has changed while it was read; run the same command again$"):
            SourceCopy(url, tmp_path)
    assert content(SourceCopy(url, tmp_path).path) == FILES | {"a/2.txt": b"another one."}


def test_a_copy_that_another_process_reads_stays(tmp_path: Path, url: str) -> None:
    mine, other = SourceCopy(url, tmp_path), SourceCopy(url, tmp_path)
    mine.remove()
    assert content(other.path) == FILES
    other.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["../x"], "has an object '../x', which is no path; copy it to another name"),
        (["a//b"], "has an object 'a//b', which is no path"),
        (["a", "a/b"], "has objects 'a' and 'a/b', of which one would have to lie in the other"),
    ],
)
def test_names_that_are_no_paths_are_refused(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, names: list[str], message: str
) -> None:
    told = objects.Told(num_bytes=0, stamp="")
    monkeypatch.setattr(source_copy, "objects_below", lambda *_: dict.fromkeys(names, told))
    with pytest.raises(DataError, match=message):
        SourceCopy(url, tmp_path)
    assert not any(path.is_file() and path.name != "lock" for path in tmp_path.rglob("*"))


def test_an_address_with_nothing_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match=r"memory://source/gone is not there; check the address"):
        SourceCopy("memory://source/gone", tmp_path)
    with pytest.raises(UsageError, match=r"there is nothing at memory://source/clips/\*\.tar; check the address"):
        SourceCopy(f"{url}/*.tar", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A web server with the file rows.jsonl."""
    monkeypatch.setattr(remote, "PATIENCE", Patience(attempts=3, first_wait_s=0.0, timeout_s=2.0))
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "rows.jsonl").write_bytes(FILES["c.txt"])
    answers = of_folder(tmp_path / "web")

    def with_size(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        answer = answers(request, body)
        if request.command != "HEAD" or answer.status != 200:
            return answer
        return Answer(status=200, headers={"Content-Length": str(len(answer.body)), "Accept-Ranges": "bytes"})

    with serve(with_size) as store:
        store.faults = ["", "", "500", "cut"]
        yield store.url


def test_a_file_on_a_web_server_is_fetched_and_its_key_forgotten(tmp_path: Path, web: str) -> None:
    source = find_source(f"{web}/rows.jsonl?signature=secret", (), scratch=tmp_path / "scratch")
    assert source.path.read_bytes() == FILES["c.txt"]
    assert source.identity == {
        "kind": "file",
        "url": f"{web}/rows.jsonl",
        "sha256": hashlib.sha256(FILES["c.txt"]).hexdigest(),
        "bytes": 40,
    }
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    with pytest.raises(DataError, match=f"^{web}/gone.tar is not there; check the address, or copy it there$"):
        find_source(f"{web}/gone.tar?signature=secret", (), scratch=tmp_path / "scratch")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a.tar?X-Amz-Signature=secret", "https://host/a.tar"),
        ("sftp://me:secret@host/a.tar", "sftp://me@host/a.tar"),
        ("abfs://data@account.dfs.core.windows.net/a", "abfs://data@account.dfs.core.windows.net/a"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
    ],
)
def test_no_key_is_shown(url: str, shown: str) -> None:
    assert remote.shown(url) == shown
