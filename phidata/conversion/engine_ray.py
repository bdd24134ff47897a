"""Converts ranges of rows on a Ray cluster: an actor for each CPU, each with a worker process of its own.

The source, the output and the journal in it lie on a path that all nodes share. A range whose node dies is given to
another actor; what the lost one may still write is the same, byte for byte.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any

import click

from phidata.conversion.listing import Range
from phidata.conversion.parts import Counts
from phidata.conversion.pool import MAX_ATTEMPTS, Pool
from phidata.conversion.task import Job
from phidata.errors import DataError, UsageError

LOOK_S = 1.0  # how often it is looked whether the cluster has more CPUs by now
STOCK = 2  # ranges of an actor: the one that it works on, and the next
KNOCK_S = 10.0  # how long an address has to answer
MAX_FAILED_STARTS = 20  # of actors; a node may be lost just then, but not that often


class RangeConverter:
    """What an actor does: one range after the other, in a process that may die without it."""

    def __init__(self, job: Job, row_timeout_s: float | None) -> None:
        self._job = job
        self._pool = Pool(job, 1, row_timeout_s=row_timeout_s)

    def is_unfit(self, versions: Mapping[str, str]) -> str | None:
        """Answers when the actor has found a CPU: why its node can not take part, if it can not."""
        problem = _missing(self._job) or _other_version(versions)
        return problem and f"node {socket.gethostname()} {problem}"

    def convert(self, rows: Range) -> Counts | str:
        """What became of the rows, or why the conversion can not go on."""
        try:
            [(_, counts)] = self._pool.run([rows])
        except (DataError, OSError) as error:
            return str(error)
        return counts


def _missing(job: Job) -> str | None:
    for path in (job.root.path, job.root.images, job.images, job.parts, job.tasks):
        if path is not None and not path.exists():
            return f"does not see {path}; put source and output where all nodes see them under one path"
    return None


def _other_version(versions: Mapping[str, str]) -> str | None:
    for package, wanted in versions.items():
        try:
            found = version("phidata-vision" if package == "phidata" else package)
        except PackageNotFoundError:
            return f"has no {package}; install on all nodes what is installed here"
        if found != wanted:
            return f"has {package} {found}, and {wanted} is here; install the same on all nodes"
    return None


class RayPool:
    """At most `jobs` actors on the cluster at `address`, by default one for each CPU that the cluster has.

    A node that does not see the paths of the job, or has packages of other `versions`, takes no part. Raises UsageError
    when Ray is not installed or no cluster can be reached.
    """

    def __init__(
        self,
        job: Job,
        jobs: int | None,
        *,
        versions: Mapping[str, str],
        address: str | None,
        row_timeout_s: float | None,
    ) -> None:
        self._ray = _connected(address)
        self._job = self._ray.put(replace(job, durable=True))
        self._jobs = jobs
        self._versions = dict(versions)
        self._row_timeout_s = row_timeout_s
        self._starting: dict[Any, Any] = {}  # by their answers
        self._actors: dict[Any, int] = {}  # those that have a CPU, and how many ranges each has
        self._unfit: list[Any] = []  # they keep their CPUs, so that others come to other nodes
        self._problems: dict[str, None] = {}
        self._num_failed_starts = 0
        self._pending: dict[Any, tuple[Any, Range]] = {}
        self._waiting: deque[Range] = deque()
        self._losses: Counter[int] = Counter()
        self._redirected = redirect_stdout(sys.stderr)  # what Ray tells of nodes that are lost is no result

    def __enter__(self) -> RayPool:
        self._redirected.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for actor in (*self._actors, *self._starting.values(), *self._unfit):
            self._ray.kill(actor)
        self._ray.shutdown()
        self._redirected.__exit__(kind, error, at)

    def run(
        self, ranges: Iterable[Range], tell: Callable[[int], object] = lambda _: None
    ) -> Iterator[tuple[Range, Counts]]:
        """See `Pool.run`; rows are told range by range."""
        self._waiting.extend(ranges)
        while self._waiting or self._pending:
            self._hand_out()
            for reference in self._answers():
                if reference in self._starting:
                    self._has_started(reference)
                    continue
                actor, rows = self._pending.pop(reference)
                counts = self._result(reference, actor, rows)
                if counts is not None:
                    yield rows, counts
            tell(0)

    def _answers(self) -> list[Any]:
        """All that is there, as soon as anything is; empty after a while without."""
        asked = [*self._pending, *self._starting]
        done, others = self._ray.wait(asked, timeout=LOOK_S)
        if done and others:
            done += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
        return list(done)

    def _hand_out(self) -> None:
        """Start actors while there may be more, and give ranges to those that have a CPU: a node may be lost that the
        cluster still counts, and an actor wait for it for ever."""
        while len(self._waiting) > len(self._starting) and self._may_start():
            remote = self._ray.remote(num_cpus=1, max_restarts=0)(RangeConverter)
            actor = remote.remote(self._job, self._row_timeout_s)
            self._starting[actor.is_unfit.remote(self._versions)] = actor
        if not (self._actors or self._starting):
            raise DataError(f"no node of the cluster can convert; {'; '.join(self._problems)}")
        for actor in sorted(self._actors, key=self._actors.__getitem__):
            while self._waiting and self._actors[actor] < STOCK:
                rows = self._waiting.popleft()
                self._pending[actor.convert.remote(rows)] = actor, rows
                self._actors[actor] += 1

    def _may_start(self) -> bool:
        if self._num_failed_starts >= MAX_FAILED_STARTS:
            return False
        num_cpus = int(self._ray.cluster_resources().get("CPU", 0)) - len(self._unfit)
        if self._unfit and num_cpus < 1:
            return False
        num_actors = max(1, num_cpus if self._jobs is None else min(self._jobs, num_cpus))
        return num_actors > len(self._actors) + len(self._starting)

    def _has_started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            problem = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:  # its node is lost already, or has no phidata
            self._num_failed_starts += 1
            self._problems[_last_line(error)] = None
            return
        if problem is None:
            self._actors[actor] = 0
            return
        self._unfit.append(actor)
        if problem not in self._problems:
            self._problems[problem] = None
            click.echo(problem, err=True)

    def _result(self, reference: Any, actor: Any, rows: Range) -> Counts | None:
        """What became of a range; None when its actor was lost, and it waits again."""
        try:
            result: Counts | str = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._lose(actor, rows, error)
            return None
        self._actors[actor] -= 1
        if isinstance(result, str):
            raise DataError(result)
        return result

    def _lose(self, actor: Any, rows: Range, error: Exception) -> None:
        self._actors.pop(actor, None)
        self._losses[rows.number] += 1
        if self._losses[rows.number] > 2 * MAX_ATTEMPTS:
            raise DataError(
                f"{self._losses[rows.number]} actors were lost with the same rows ({_last_line(error)}); "
                "look at the cluster, then run the same command again, it continues"
            ) from error
        self._waiting.append(rows)
        click.echo(f"an actor was lost; its {rows.num_rows} rows of {rows.split!r} are given to another", err=True)


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2].strip()


def _connected(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray; pip install 'phidata-vision[ray]'") from error
    try:
        if address is not None:
            _knock(address)
        ray.init(address=address or "auto", logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError) as error:  # ConnectionError is one, and so is a name that nobody has
        where = f"at {address}" if address else "on this machine"
        raise UsageError(
            f"no Ray cluster can be reached {where}; start one by `ray start --head`, or name it by --address"
        ) from error
    return ray


def _knock(address: str) -> None:
    """Raise OSError or ValueError when nobody listens there: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
