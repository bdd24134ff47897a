"""Without a source the data comes from the hub, through its cache; without the hub the error tells how to go on."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from .conftest import read_json, run

COMMIT = "b9984b8d2a95e4a1879e1b071e9433858d0bc24a"
FILE = "UCF101_subset.tar.gz"


@pytest.fixture
def archive(tmp_path: Path, six_clips: Path) -> Path:
    with tarfile.open(tmp_path / "packed.tar.gz", "w:gz") as package:
        package.add(six_clips, arcname="UCF101_subset")
    return tmp_path / "packed.tar.gz"


def fill_cache(home: Path, repo_id: str, archive: Path) -> None:
    """The layout of the hub's cache, as `hf_hub_download` leaves it."""
    repository = home / "hub" / f"datasets--{repo_id.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "snapshots" / COMMIT / FILE).write_bytes(archive.read_bytes())


@pytest.mark.parametrize("source", [[], ["--source", "somebody/else"]])
def test_the_cached_copy_is_used_offline(tmp_path: Path, archive: Path, source: list[str]) -> None:
    repo_id = source[1] if source else "sayakpaul/ucf101-subset"
    fill_cache(tmp_path / "home", repo_id, archive)
    arguments = ["--from", "ucf101", *source, "--out", tmp_path / "out", "--num-frames", "1"]
    code, _, err = run(*arguments, HF_HOME=str(tmp_path / "home"), HF_HUB_OFFLINE="1")
    assert code == 0, err
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["rows"]["written"] == 6
    assert manifest["source"] == {
        "kind": "hub",
        "repo_id": repo_id,
        "file": FILE,
        "revision": COMMIT,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }


def test_offline_without_a_copy_the_error_says_what_to_pass(tmp_path: Path) -> None:
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    assert run("--from", "ucf101", "--out", tmp_path / "out", **environment) == (
        1,
        "",
        "error: UCF101_subset.tar.gz of sayakpaul/ucf101-subset is not in the hub's cache and can not be downloaded "
        "now; pass --source DIR or ARCHIVE to read a local copy\n",
    )
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    out = tmp_path / "out"
    assert run("--from", "ucf101", "--source", tmp_path / "gone", "--out", out, **environment) == (
        2,
        "",
        f"error: no source {tmp_path}/gone; give a folder, a tar or zip archive, a data file, "
        "or a data set id of the hub\n",
    )
    code, _, err = run("--from", "ucf101", "--source", "no/where", "--out", out, **environment)
    assert code == 2
    assert err.startswith("error: no/where is no file or folder here, and UCF101_subset.tar.gz of no/where is not in ")


class Hub(BaseHTTPRequestHandler):
    """What the hub answers when a file is downloaded from the repository a/b."""

    content: bytes

    def do_HEAD(self) -> None:
        if self.path != f"/datasets/a/b/resolve/main/{FILE}":
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if "/a/b/" in self.path else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path.endswith(FILE):
            self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint(archive: Path) -> Iterator[str]:
    Hub.content = archive.read_bytes()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_data_set_of_the_hub_is_downloaded(tmp_path: Path, endpoint: str) -> None:
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": endpoint}
    code, _, err = run(
        "--from", "ucf101", "--source", "a/b", "--out", tmp_path / "out", "--num-frames", "1", **environment
    )
    assert code == 0, err
    assert read_json(tmp_path / "out" / "manifest.json")["source"]["revision"] == COMMIT


def test_a_data_set_that_the_hub_has_not_is_refused(tmp_path: Path, endpoint: str) -> None:
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": endpoint}
    code, _, err = run("--from", "ucf101", "--source", "c/d", "--out", tmp_path / "out", **environment)
    assert (code, err) == (
        2,
        "error: c/d is no file or folder here, and the hub has no data set c/d that you may read; "
        "pass --source DIR or ARCHIVE to read a local copy\n",
    )
