"""A page in headless Chromium, driven by the DevTools protocol over a pipe (the browser's own interface, no package).

https://chromedevtools.github.io/devtools-protocol/ ; messages are JSON, each ended by a NUL byte.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
from base64 import b64decode
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
)
KEYS = {
    "Enter": 13,
    "Escape": 27,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "ArrowUp": 38,
    "Tab": 9,
    "End": 35,
}


def find_browser() -> str | None:
    """The Chromium of this system: $PHIDATA_CHROMIUM, or one that is on the path."""
    return os.environ.get("PHIDATA_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A running browser with one page. `events` holds what it reported: requests, console messages, exceptions."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._buffer = b""
        self._last_id = 0
        self._session: str | None = None
        self._arrived: deque[dict[str, Any]] = deque()
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Carry out a command and return its result."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last_id:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, page: Path) -> None:
        """Load a file and wait until all of it is there."""
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, once it is settled."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression is true, looking at each frame that the page draws; at most 10 seconds."""
        settled = self.run(
            "new Promise((done) => { const end = performance.now() + 10000; (function look() { "
            f"if ({condition}) done(true); else if (performance.now() > end) done(false); "
            "else requestAnimationFrame(look); })(); })"
        )
        assert settled, f"never true: {condition}"

    def press(self, *keys: str) -> None:
        """Press keys one after the other: letters, or names such as Enter."""
        for key in keys:
            letter = {"text": key, "unmodifiedText": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            code = KEYS.get(key) or ord(key.upper())
            for kind in ("keyDown", "keyUp"):
                extra = letter if kind == "keyDown" else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **extra)

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def view(self, *, width: int, height: int, dark: bool = False) -> None:
        """Set the size of the window and the colours that the user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        """The window as a PNG file."""
        return b64decode(self.call("Page.captureScreenshot")["data"])

    @property
    def requests(self) -> list[str]:
        """The addresses that the page has asked for, data: addresses left out."""
        sent = [
            event["params"]["request"]["url"] for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in sent if not url.startswith("data:")]

    @property
    def complaints(self) -> list[Mapping[str, Any]]:
        """Console messages, exceptions, and what the browser has logged, such as what the page's policy refused."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event["params"] for event in self.events if event["method"] in kinds]

    def _next(self) -> dict[str, Any]:
        while not self._arrived:
            read = os.read(self._receive, 1 << 20)
            assert read, "the browser has ended"
            *messages, self._buffer = (self._buffer + read).split(b"\0")
            self._arrived.extend(map(json.loads, messages))
        message = self._arrived.popleft()
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def running_browser(program: str, profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile; it ends with the block."""
    commands, send = os.pipe()
    receive, answers = os.pipe()
    # The browser reads from descriptor 3 and writes to 4, whatever these are here.
    given = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands, answers)]
    os.close(commands)
    os.close(answers)
    silent = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, given[0], 3), (os.POSIX_SPAWN_DUP2, given[1], 4), (os.POSIX_SPAWN_DUP2, silent, 2)]
    command = [program, *FLAGS, f"--user-data-dir={profile}"]
    process = os.posix_spawn(program, command, dict(os.environ), file_actions=actions, setpgroup=0)
    for end in (*given, silent):
        os.close(end)
    try:
        yield Browser(send, receive)
    finally:
        os.close(send)
        os.close(receive)
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
