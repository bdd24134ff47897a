"""`phidata push` against a hub that listens here: what it is asked, and what its refusals become."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import phidata
from phidata import Conversation, DataError, Turn, UsageError
from phidata.cli import main
from phidata.publishing import MAX_FILES, PushedFile, _parts

from .conftest import write_folder


class Hub(BaseHTTPRequestHandler):
    """What the hub answers to an upload. Parquet files go to its large file storage, others into the commit."""

    asked: list[str]
    files: dict[str, bytes]  # what the repository holds
    uploaded: dict[str, bytes]  # large files by their sha256
    commits: list[str]
    manifests: list[bytes | None]  # after each commit
    private: bool
    refuse: dict[str, tuple[int, str]]  # status and message by a part of the path

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.uploaded[hashlib.sha256(body).hexdigest()] = body
        self._send(200, {})

    def _answer(self, body: bytes) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(f"{self.command} {path}")
        if refusal := next((refusal for part, refusal in self.refuse.items() if part in path), None):
            self._send(refusal[0], {"error": refusal[1]})
        elif path == "/api/repos/create":
            self._send(200, {"url": f"{self._here}/datasets/org/birds", "asked": json.loads(body)})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif path.startswith("/api/datasets/org/birds/tree/"):
            names = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in self.files]
            self._send(200, names)
        elif "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [(name, "lfs" if name.endswith(".parquet") else "regular") for name in names]
            self._send(
                200, {"files": [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes]}
            )
        elif path.endswith("/info/lfs/objects/batch"):
            self._send(
                200, {"transfer": "basic", "objects": [self._upload(one) for one in json.loads(body)["objects"]]}
            )
        elif "/commit/" in path:
            self._commit([json.loads(line) for line in body.splitlines()])
        elif path == "/api/datasets/org/birds":
            self._send(200, {"id": "org/birds", "private": self.private, "tags": [], "siblings": []})
        else:
            self._send(200, {})

    def _mode(self, path: str) -> dict[str, Any]:
        mode = "lfs" if path.endswith(".parquet") else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False}

    def _upload(self, wanted: dict[str, Any]) -> dict[str, Any]:
        return {**wanted, "actions": {"upload": {"href": f"{self._here}/upload", "header": {}}}}

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.commits.append(value["summary"])
            elif line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del self.files[value["path"]]
            else:
                self.files[value["path"]] = self.uploaded[value["oid"]]
        self.manifests.append(self.files.get("manifest.json"))
        self._send(200, {"commitUrl": f"{self._here}/datasets/org/birds/commit/1", "commitOid": "1" * 40})

    @property
    def _here(self) -> str:
        return f"http://{self.headers['Host']}"

    def _send(self, status: int, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status >= 400:
            self.send_header("X-Error-Message", answer["error"])
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    Hub.asked, Hub.files, Hub.uploaded, Hub.commits, Hub.private, Hub.refuse = [], {}, {}, [], False, {}
    Hub.manifests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(tmp_path / "out", "parquet", splits=("train", "val"))
    return tmp_path / "out"


def push(folder: Path, endpoint: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and the last line of standard error of `phidata push`."""
    settings = {"HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder.parent)}
    done = subprocess.run(
        [sys.executable, "-m", "phidata", "push", str(folder), "org/birds", *arguments],
        env={**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", **settings, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.splitlines()[-1]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_whole_folder_is_in_the_repository_afterwards(folder: Path, endpoint: str) -> None:
    Hub.files = {"data/train-00000-of-00009.parquet": b"old", ".gitattributes": b""}
    whole = content(folder)
    (folder / "notes.txt").write_text("mine")
    code, out, err = push(folder, endpoint, "--message", "First")
    assert code == 0, err
    assert {name: Hub.files[name] for name in whole} == whole
    assert "notes.txt" not in Hub.files
    assert Hub.commits == ["First"]
    num_bytes = sum(map(len, whole.values()))
    assert out.splitlines()[-3:] == [
        "left out, no part of the data set: notes.txt",
        "also in the repository, not of this folder: data/train-00000-of-00009.parquet",
        f"uploaded 5 files, {num_bytes / 1e6:.1f} MB to {endpoint}/datasets/org/birds",
    ]


def test_a_new_version_in_several_commits_has_no_manifest_before_the_last(tmp_path: Path, endpoint: str) -> None:
    turns = (Turn(images=(f"train/{number}.png",), user="u", assistant="a") for number in range(MAX_FILES))
    rows = [Conversation(id=str(k), source="s", conversations=(turn,)) for k, turn in enumerate(turns)]
    write_folder(tmp_path / "out", "images-jsonl", rows)
    Hub.files = {"manifest.json": b"old"}
    assert push(tmp_path / "out", endpoint)[0] == 0
    new = (tmp_path / "out" / "manifest.json").read_bytes()
    assert Hub.manifests == [None, new]
    Hub.files = {}
    assert push(tmp_path / "out", endpoint)[0] == 0
    assert Hub.manifests == [None, new, None, new]


def test_a_branch_is_made_and_named(folder: Path, endpoint: str) -> None:
    code, out, err = push(folder, endpoint, "--revision", "v2", "--format", "json")
    assert code == 0, err
    assert "POST /api/datasets/org/birds/branch/v2" in Hub.asked
    assert "POST /api/datasets/org/birds/commit/v2" in Hub.asked
    done = json.loads(out)
    assert (done["revision"], done["url"]) == ("v2", f"{endpoint}/datasets/org/birds/tree/v2")
    assert done["message"] == "Upload birds with phidata"


def test_private_data_never_goes_to_a_public_repository(folder: Path, endpoint: str) -> None:
    code, _, err = push(folder, endpoint, "--private")
    assert (code, err, Hub.commits) == (
        2,
        "error: org/birds is there already and is public; make it private first, or push elsewhere",
        [],
    )
    Hub.private = True
    assert push(folder, endpoint, "--private")[0] == 0
    assert Hub.commits == ["Upload birds with phidata"]


@pytest.mark.parametrize(
    ("refuse", "code", "said"),
    [
        (
            {"/api/": (401, "Invalid username or password.")},
            2,
            "error: the hub at {endpoint} does not know you; run `hf auth login` or set HF_TOKEN to a valid token",
        ),
        (
            {"/api/": (403, "You don't have the rights")},
            2,
            "error: the hub does not let you write org/birds (You don't have the rights); "
            "use a token with the right to write it",
        ),
        (
            {"/preupload/": (404, "Repository not found")},
            2,
            "error: the hub has no org/birds that you may write (Repository not found); check the name and the token",
        ),
        (
            {"/commit/": (400, "Storage is full")},
            1,
            "error: the hub at {endpoint} answers with an error (Storage is full); try the same command again",
        ),
    ],
)
def test_a_refusal_is_one_sentence(
    folder: Path, endpoint: str, refuse: dict[str, tuple[int, str]], code: int, said: str
) -> None:
    Hub.refuse = refuse
    assert push(folder, endpoint)[::2] == (code, said.format(endpoint=endpoint))
    assert Hub.commits == []


def test_a_hub_that_can_not_be_reached_is_one_sentence(folder: Path) -> None:
    code, _, err = push(folder, "http://127.0.0.1:9")
    assert code == 1
    assert err.startswith("error: the hub at http://127.0.0.1:9 can not be reached (")
    assert push(folder, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")[::2] == (
        2,
        "error: HF_HUB_OFFLINE is set; unset it to push",
    )


def test_a_dry_run_says_what_would_be_done_and_asks_nobody(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "notes.txt").write_text("mine")
    assert main(["push", str(folder), "org/birds", "--dry-run", "--private"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[:5]] == [
        "README.md",
        "data/train-00000-of-00001.parquet",
        "data/val-00000-of-00001.parquet",
        "ledger.jsonl",
        "manifest.json",
    ]
    assert lines[5] == "left out, no part of the data set: notes.txt"
    assert lines[6].startswith("would upload 5 files, 0.0 MB to the private data set org/birds, branch main: Upload ")


def test_what_is_not_whole_is_never_pushed(folder: Path) -> None:
    (folder / "data" / "val-00000-of-00001.parquet").unlink()
    with pytest.raises(DataError) as caught:
        phidata.push(folder, "org/birds")
    assert str(caught.value) == (
        f"{folder} is not pushed, it is not what its manifest says: {folder}/data/val-00000-of-00001.parquet is "
        f"missing; copy it again (1 in all; `phidata verify {folder}` shows them)"
    )
    (folder / ".journal").mkdir()
    with pytest.raises(DataError, match="is an unfinished conversion"):
        phidata.push(folder, "org/birds")


@pytest.mark.parametrize("repo_id", ["birds", "a/b/c", "", "org/", "../x"])
def test_what_is_no_repository_is_refused(folder: Path, repo_id: str) -> None:
    with pytest.raises(UsageError, match="is no repository of the hub; write it as organisation/name"):
        phidata.push(folder, repo_id)


def test_many_files_take_several_commits_and_the_manifest_comes_last() -> None:
    names = [f"images/{number:05}.jpg" for number in range(2 * MAX_FILES)] + ["manifest.json"]
    parts = list(_parts([PushedFile(name=name, bytes=1) for name in names]))
    assert [len(part) for part in parts] == [MAX_FILES, MAX_FILES, 1]
    assert parts[-1][-1].name == "manifest.json"
