"""`python -m tests.hostile mutations`: every target is given so many changed inputs, and what they gave is counted.

    python -m tests.hostile mutations --cases 1000     all targets; the table is tests/hostile/mutations.jsonl
    python -m tests.hostile mutations --target rows --case 17 --seed 0     one input again, with its traceback

Each target runs in a process of its own, so that one that crashes is told and the others go on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import click

from phidata.errors import PhidataError

from .promises import TookTooLong, time_limit
from .targets import Target, targets

LIMIT_S = 20.0  # of one case
RESULTS = Path(__file__).parent / "mutations.jsonl"
MOST_FAULTS = 20  # that are told of one target


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A case that ended in another way than it may."""

    target: str
    case: int
    said: str


@dataclass(frozen=True, kw_only=True)
class Count:
    """What the cases of one target came to: `taken` as they were, `told` (something in them is), or `refused` whole."""

    target: str
    what: str
    seed: int
    cases: int
    taken: int
    told: int
    refused: int
    faults: int
    slowest_ms: int


def run_case(target: Target, data: bytes, number: int, seed: int, folder: Path) -> str:
    """`taken`, `told` or `refused`; whatever else comes of it is raised."""
    changed = target.mutate(data, Random(f"{seed} {target.name} {number}"))
    folder.mkdir(parents=True)
    try:
        with time_limit(LIMIT_S):
            return "taken" if target.read(folder, changed) else "told"
    except PhidataError as error:
        if not str(error).strip():
            raise AssertionError("an error without a sentence") from error
        return "refused"
    finally:
        shutil.rmtree(folder)


def run_cases(target: Target, numbers: Iterable[int], seed: int, folder: Path) -> tuple[Count, list[Fault]]:
    """Run cases one after the other."""
    data, slowest_s, cases = target.data(), 0.0, 0
    counts = {"taken": 0, "told": 0, "refused": 0}
    faults = [] if _is_sound(target, data, folder / "sound") else [Fault(target=target.name, case=-1, said="not taken")]
    for number in numbers:
        began, cases = time.perf_counter(), cases + 1
        try:
            place = folder / str(number)  # another for each: readers may remember a file by its path
            counts[run_case(target, data, number, seed, place)] += 1
        except (Exception, TookTooLong) as error:
            faults.append(Fault(target=target.name, case=number, said=f"{type(error).__name__}: {error}"[:500]))
        slowest_s = max(slowest_s, time.perf_counter() - began)
    count = Count(
        target=target.name,
        what=target.what,
        seed=seed,
        cases=cases,
        **counts,
        faults=len(faults),
        slowest_ms=round(slowest_s * 1000),
    )
    return count, faults


def _is_sound(target: Target, data: bytes, folder: Path) -> bool:
    """Whether what was not changed is taken; else the cases would show nothing."""
    folder.mkdir(parents=True)
    return target.read(folder, data)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile mutations", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="this target; the others keep their lines in the table")
    parser.add_argument("--target", help="this one in this process, without the table")
    parser.add_argument("--case", type=int, help="only this one of the target")
    given = parser.parse_args(argv)
    chosen = [target for target in targets() if given.target in (None, target.name)]
    if given.case is not None:
        return _again(chosen[0], given.case, given.seed)
    if given.target is not None:
        return _alone(chosen[0], given.cases, given.seed)
    counts = {count.target: count for count in (results() if given.only else ())}
    for target in [target for target in chosen if given.only in (None, target.name)]:
        count, faults = _in_process(target, given.cases, given.seed)
        counts[target.name] = count
        click.echo(json.dumps(asdict(count)))
        for fault in faults[:MOST_FAULTS]:
            click.echo(f"  {fault.target}, case {fault.case}: {fault.said}")
    table = [counts[target.name] for target in chosen if target.name in counts]
    RESULTS.write_text("".join(json.dumps(asdict(count)) + "\n" for count in table), "utf-8")
    num_faults = sum(count.faults for count in table)
    click.echo(f"{sum(count.cases for count in table)} cases, {num_faults} faults → {RESULTS.name}")
    return int(num_faults > 0)


def results() -> Iterator[Count]:
    """The table as it was last written."""
    for line in RESULTS.read_text("utf-8").splitlines():
        yield Count(**json.loads(line))


def _again(target: Target, number: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        click.echo(run_case(target, target.data(), number, seed, Path(folder) / "case"))
    return 0


def _alone(target: Target, cases: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        count, faults = run_cases(target, _told(range(cases)), seed, Path(folder))
    click.echo(json.dumps([asdict(count), [asdict(fault) for fault in faults]]))
    return int(bool(faults))


def _told(numbers: Iterable[int]) -> Iterator[int]:
    """The same, each told on standard error before it runs, for whoever has to know which one crashed."""
    for number in numbers:
        click.echo(f"case {number}", err=True)
        yield number


def _in_process(target: Target, cases: int, seed: int) -> tuple[Count, list[Fault]]:
    command = [sys.executable, "-X", "faulthandler", "-W", "error", "-m", "tests.hostile", "mutations"]
    command += ["--target", target.name, "--cases", str(cases), "--seed", str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.stdout.startswith("["):
        count, faults = json.loads(ended.stdout)
        return Count(**count), [Fault(**fault) for fault in faults]
    last = max((int(line[5:]) for line in ended.stderr.splitlines() if line.startswith("case ")), default=-1)
    said = f"the process ended with {ended.returncode}: {ended.stderr.splitlines()[-1:]}"
    count = Count(
        target=target.name,
        what=target.what,
        seed=seed,
        cases=last + 1,
        taken=0,
        told=0,
        refused=0,
        faults=1,
        slowest_ms=0,
    )
    return count, [Fault(target=target.name, case=last, said=said)]
