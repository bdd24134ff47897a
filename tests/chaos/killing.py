"""Conversions that are killed again and again until one comes to its end, and what they leave."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from phidata.errors import PhidataError
from phidata.storage.folder import open_folder

FOLDER = Path(__file__).parent
TIMEOUT_S = 120.0
MAX_KILLS = 12  # of one conversion


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A moment, and who is killed then: the process that it happens in, or its parent."""

    role: str
    kind: str
    number: int
    victim: str
    delay_s: float

    @property
    def who(self) -> str:
        return self.role if self.victim == "self" else "parent by its worker"

    def __str__(self) -> str:
        return f"{self.who} killed {'after' if self.delay_s else 'at'} {self.kind} {self.number}"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A conversion that was killed and continued until it ended."""

    kills: tuple[Kill, ...]
    outcomes: Counter[str]


def moments(arguments: list[str], out: Path, work: Path) -> list[tuple[str, str, int]]:
    """Role, kind and how often, of all moments of a conversion that is left alone."""
    code, err = convert(arguments, out, {"record": True, "log": str(work / "record"), "out": str(out)})
    assert code == 0, err
    most: Counter[tuple[str, str]] = Counter()
    for path in work.glob("record.*"):
        found = json.loads(path.read_text())
        for kind, num in found["seen"].items():
            most[found["role"], kind] = max(most[found["role"], kind], num)
        path.unlink()
    return [(role, kind, num) for (role, kind), num in sorted(most.items())]


def chains(arguments: list[str], work: Path, *, seed: int, num_kills: int) -> Iterator[Chain]:
    """Kill conversions at as many moments, drawn by the seed; each ends in the bytes of one that is left alone."""
    draw = random.Random(seed)
    found = moments(arguments, work / "whole", work)
    whole = tree(work / "whole")
    done = 0
    while done < num_kills:
        out = work / "out"
        made = chain(arguments, out, work, found, draw, min(MAX_KILLS, num_kills - done), whole)
        different = {path for path, _ in tree(out).items() ^ whole.items()}
        assert not different, f"{', '.join(map(str, made.kills))}: {sorted(different)}"
        yield made
        done += len(made.kills)
        shutil.rmtree(out)
        for path in work.glob("struck-*"):
            path.unlink()


def chain(
    arguments: list[str],
    out: Path,
    work: Path,
    found: list[tuple[str, str, int]],
    draw: random.Random,
    num_kills: int,
    whole: dict[str, str],
) -> Chain:
    """Convert into a folder; of the first runs each is killed once, by the draw, and the last is left alone."""
    kills: list[Kill] = []
    outcomes: Counter[str] = Counter()
    for number in range(num_kills):
        kill = drawn(found, draw)
        log = work / f"struck-{number}"
        code, err = convert(arguments, out, {**asdict(kill), "log": str(log), "out": str(out)})
        if not log.exists():
            outcomes["ended before"] += 1  # an earlier run had done what it would have been killed at
        elif code == -signal.SIGKILL:
            kills.append(kill)
            outcomes["killed"] += 1
            assert not looks_whole(out) or tree(out) == whole, f"{kill}: the folder looks whole, and is not"
        else:
            kills.append(kill)
            outcomes["a worker killed, the run went on"] += 1
        assert code in (0, -signal.SIGKILL) or "finished" in err, f"{kill}: exit code {code}: {err}"
        assert "Traceback" not in err, f"{kill}: {err}"
        if code != -signal.SIGKILL:
            break
    else:
        code, err = convert(arguments, out, None)
        assert code == 0 or "finished" in err, err
    return Chain(kills=tuple(kills), outcomes=outcomes)


def drawn(found: list[tuple[str, str, int]], draw: random.Random) -> Kill:
    """A kind of moment, each as likely as the others, and one of that kind, the earlier ones more likely: a run that
    goes on has fewer of them."""
    role, kind, num = draw.choice(found)
    return Kill(
        role=role,
        kind=kind,
        number=1 + int(num * draw.random() ** 2),
        victim=draw.choice(("self", "self", "parent")) if role == "worker" else "self",
        delay_s=draw.choice((0.0, 0.0, 0.002)),
    )


def looks_whole(out: Path) -> bool:
    """Whether a reader takes the folder for a data set."""
    try:
        return (out / "manifest.json").exists() and not (out / ".journal").exists() and bool(open_folder(out))
    except PhidataError:
        return False


def convert(arguments: list[str], out: Path, chaos: dict[str, object] | None) -> tuple[int, str]:
    """Exit code and standard error of `phidata convert`; its workers are gone when this returns."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(FOLDER), os.environ.get("PYTHONPATH", "")))}
    if chaos is not None:
        environment["CHAOS"] = json.dumps(chaos)
    process = subprocess.Popen(
        [sys.executable, "-m", "phidata", "convert", *arguments, "--out", str(out)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, err = process.communicate(timeout=TIMEOUT_S)  # standard error ends when the last worker has ended
    return process.returncode, err


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, with the sha256 of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
