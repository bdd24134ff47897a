"""Imported by Python at its start where this folder is on the path: kills a process of a conversion at a chosen moment.

$CHAOS is JSON: `role` ("parent" or "worker"), `kind` of the moment, `number` of it among those of its kind, `victim`
("self", or "parent", a worker's), `delay_s` after which, and `log`, the file that is made when it strikes. Of several
workers the first that comes so far strikes. With `record` nothing is killed: each process writes how many moments of
each kind it had so far.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR


def kind_of(event: str, arguments: tuple[Any, ...]) -> str | None:
    """What happens to a file of the output; None for what does not matter."""
    if event == "open":
        path, _, flags = arguments
        is_ours = isinstance(path, (str, os.PathLike)) and OUT in os.fspath(path)
        return f"write {_what(os.fspath(path))}" if is_ours and isinstance(flags, int) and flags & WRITES else None
    if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
        path = os.fspath(arguments[1] if event == "os.rename" else arguments[0])
        return f"{event[3:]} {_what(path)}" if isinstance(path, str) and OUT in path else None
    return None


def _what(path: str) -> str:
    """What kind of a file it is."""
    rest = path.partition(OUT)[2]
    if "/.journal" in rest:
        suffix = rest.rpartition("/")[2].rpartition(".")[2]
        return "part" if suffix in ("part", "partial") else "journal"
    if rest.endswith(".tmp"):
        return "temporary"
    return "manifest" if rest.endswith("manifest.json") else "images" if "/images/" in rest else "data"


def watch(wanted: dict[str, Any]) -> None:
    seen: Counter[str] = Counter()
    role = "worker" if "phidata.conversion.worker" in " ".join(sys.orig_argv) else "parent"

    def strike() -> None:
        try:
            os.close(os.open(wanted["log"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return  # another worker has done it
        victim = os.getpid() if wanted["victim"] == "self" else os.getppid()
        os.kill(victim, signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        kind = kind_of(event, arguments)
        if kind is None:
            return
        seen[kind] += 1
        if wanted.get("record"):
            record(wanted["log"], role, seen)
        elif (role, kind, seen[kind]) == (wanted["role"], wanted["kind"], wanted["number"]):
            if wanted["delay_s"]:
                threading.Timer(wanted["delay_s"], strike).start()
            else:
                strike()

    sys.addaudithook(hook)


def record(log: str, role: str, seen: Counter[str]) -> None:
    Path(f"{log}.{os.getpid()}").write_text(json.dumps({"role": role, "seen": seen}))


if "CHAOS" in os.environ:
    settings = json.loads(os.environ["CHAOS"])
    OUT = settings["out"]
    if "phidata" in " ".join(sys.orig_argv):
        watch(settings)
