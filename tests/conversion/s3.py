"""A bucket behind a server that does as it is told, for this process and for those that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from threading import Lock

import s3fs
from moto.server import ThreadedMotoServer

from tests.streaming.store import Answer, Source, Store, of_server, serve

BUCKET = "s3://birds"
KEYS = {"KEY": "a-key", "SECRET": "a-secret"}


@dataclass
class Bucket:
    """`files` reads and writes it directly, `store` is what others ask."""

    files: s3fs.S3FileSystem
    store: Store
    killer: Killer

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to ask the store."""
        names = {**KEYS, "ENDPOINT_URL": self.store.url}
        return {f"FSSPEC_S3_{name}": value for name, value in names.items()}

    def content(self, folder: str) -> dict[str, bytes]:
        """Every object below a folder."""
        self.files.invalidate_cache()
        found: Mapping[str, bytes] = self.files.cat(self.files.find(folder)) if self.files.find(folder) else {}
        return {path.removeprefix(f"{folder.removeprefix('s3://')}/"): data for path, data in found.items()}

    def clear(self) -> None:
        self.files.invalidate_cache()
        for path in self.files.find(BUCKET):
            self.files.rm_file(path)
        self.store.requests.clear()
        self.store.faults.clear()


@dataclass
class Killer:
    """Kills a process when it has asked so often; what it asked for then is done, or not."""

    source: Source
    process: subprocess.Popen[str] | None = None
    left: int = 0
    carried_out: bool = False
    struck: str = ""
    lock: Lock = field(default_factory=Lock)

    def aim(self, process: subprocess.Popen[str], number: int, *, carried_out: bool) -> None:
        with self.lock:
            self.process, self.left, self.carried_out, self.struck = process, number, carried_out, ""

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        with self.lock:
            self.left -= 1
            strikes = self.process is not None and self.left == 0
            if strikes and not self.carried_out:
                return self._strike(request)
        if self.process is not None and self.left < 0 and self.struck:
            return Answer(status=500)  # nobody is there to ask any more
        answer = self.source(request, body)
        return self._strike(request) if strikes else answer

    def _strike(self, request: BaseHTTPRequestHandler) -> Answer:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.struck = f"{request.command} {request.path}"
        return Answer(status=500)


@contextmanager
def served_bucket() -> Iterator[Bucket]:
    """An empty bucket, for as long as the block runs."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        files = s3fs.S3FileSystem(
            key="k",
            secret="s",
            endpoint_url=f"http://{host}:{port}",
            skip_instance_cache=True,
            use_listings_cache=False,
        )
        files.mkdir(BUCKET)
        killer = Killer(of_server(host, port))
        with serve(killer) as store:
            yield Bucket(files, store, killer)
    finally:
        server.stop()
