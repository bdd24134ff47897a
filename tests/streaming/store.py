"""A web server that answers as it is told: with errors, half of what was asked for, or not at all.

What it answers when all is well comes from a folder, or from another server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

_OF_THE_CONNECTION = ("connection", "transfer-encoding", "content-length", "date", "server")


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Source = Callable[[BaseHTTPRequestHandler, bytes], Answer]


class Store:
    """`faults` are the next answers, in order: a status, cut, damage or hang, or nothing for a good one; then all is
    well. `requests` are those that came, `hanging` is set when one is not answered."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.hanging, self.over = Event(), Event()
        self.url = ""

    def serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.requests.append(f"{request.command} {request.path}")
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "hang":
            self.hanging.set()
            self.over.wait()
            return
        answer = Answer(status=int(fault)) if fault.isdigit() else self.source(request, body)
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        if request.command != "HEAD":
            request.send_header("Content-Length", str(len(answer.body)))
        request.send_header("Connection", "close")
        request.end_headers()
        sent = bytes(len(answer.body)) if fault == "damage" else answer.body
        request.wfile.write(sent[: len(sent) // 2] if fault == "cut" else sent)


def of_folder(folder: Path, *, knows_parts: bool = True) -> Source:
    """The files of a folder."""

    def answer(request: BaseHTTPRequestHandler, _: bytes) -> Answer:
        path = folder / request.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            return Answer(status=404)
        data = path.read_bytes()
        wished = request.headers.get("Range")
        if not (wished and knows_parts):
            return Answer(status=200, body=data)
        begin, _, last = wished.removeprefix("bytes=").partition("-")
        return Answer(status=206, body=data[int(begin) : int(last) + 1])

    return answer


def of_server(host: str, port: int) -> Source:
    """What another server says."""

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        connection = HTTPConnection(host, port, timeout=60)
        try:
            asked = {name: value for name, value in request.headers.items() if name.lower() != "expect"}
            connection.request(request.command, request.path, body or None, asked)
            found = connection.getresponse()
            headers = {name: value for name, value in found.getheaders() if name.lower() not in _OF_THE_CONNECTION}
            if request.command == "HEAD":
                headers["Content-Length"] = found.headers.get("Content-Length", "0")
            return Answer(status=found.status, body=found.read(), headers=headers)
        finally:
            connection.close()

    return answer


@contextmanager
def serve(source: Source) -> Iterator[Store]:
    """A store for as long as the block runs."""
    store = Store(source)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # which has `Expect: 100-continue`

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            self.close_connection = True
            if self.raw_requestline and self.parse_request():
                store.serve(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        store.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield store
        finally:
            store.over.set()
            server.shutdown()
            thread.join()
