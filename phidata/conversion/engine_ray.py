"""Converts ranges of rows on a Ray cluster: an actor for each CPU, each with a worker process of its own.

The source, the output and the journal in it lie on a path that all nodes share. A range whose node dies is given to
another actor; what the lost one may still write is the same, byte for byte.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

from phidata.conversion.listing import Range
from phidata.conversion.parts import Counts
from phidata.conversion.pool import MAX_ATTEMPTS, Pool
from phidata.conversion.task import Job
from phidata.errors import DataError, UsageError

LOOK_S = 1.0  # how often it is looked whether the cluster has more CPUs by now
STOCK = 2  # ranges of an actor: the one that it works on, and the next


class RangeConverter:
    """What an actor does: one range after the other, in a process that may die without it."""

    def __init__(self, job: Job, row_timeout_s: float | None) -> None:
        self._pool = Pool(job, 1, row_timeout_s=row_timeout_s)

    def is_there(self) -> None:
        """Answers when the actor has found a CPU."""

    def convert(self, rows: Range) -> Counts | str:
        """What became of the rows, or why the conversion can not go on."""
        try:
            [(_, counts)] = self._pool.run([rows])
        except DataError as error:
            return str(error)
        return counts


class RayPool:
    """At most `jobs` actors on the cluster at `address`, by default one for each CPU that the cluster has.

    Raises UsageError when Ray is not installed or no cluster can be reached.
    """

    def __init__(self, job: Job, jobs: int | None, *, address: str | None, row_timeout_s: float | None) -> None:
        self._ray = _connected(address)
        self._job = self._ray.put(job)
        self._jobs = jobs
        self._row_timeout_s = row_timeout_s
        self._starting: dict[Any, Any] = {}  # by their answers
        self._actors: dict[Any, int] = {}  # those that have a CPU, and how many ranges each has
        self._pending: dict[Any, tuple[Any, Range]] = {}
        self._waiting: deque[Range] = deque()
        self._losses: Counter[int] = Counter()

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for actor in (*self._actors, *self._starting.values()):
            self._ray.kill(actor)
        self._ray.shutdown()

    def run(
        self, ranges: Iterable[Range], tell: Callable[[int], object] = lambda _: None
    ) -> Iterator[tuple[Range, Counts]]:
        """See `Pool.run`; rows are told range by range."""
        self._waiting.extend(ranges)
        while self._waiting or self._pending:
            self._hand_out()
            done, _ = self._ray.wait([*self._pending, *self._starting], timeout=LOOK_S)
            for reference in done:
                if reference in self._starting:
                    self._has_started(reference)
                    continue
                actor, rows = self._pending.pop(reference)
                counts = self._result(reference, actor, rows)
                if counts is not None:
                    yield rows, counts
            tell(0)

    def _hand_out(self) -> None:
        """Start actors while there may be more, and give ranges to those that have a CPU: a node may be lost that the
        cluster still counts, and an actor wait for it for ever."""
        while len(self._waiting) > len(self._starting) and self._num_actors() > len(self._actors) + len(self._starting):
            remote = self._ray.remote(num_cpus=1, max_restarts=0)(RangeConverter)
            actor = remote.remote(self._job, self._row_timeout_s)
            self._starting[actor.is_there.remote()] = actor
        for actor in sorted(self._actors, key=self._actors.__getitem__):
            while self._waiting and self._actors[actor] < STOCK:
                rows = self._waiting.popleft()
                self._pending[actor.convert.remote(rows)] = actor, rows
                self._actors[actor] += 1

    def _has_started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        with suppress(self._ray.exceptions.RayActorError):  # its node is lost already
            self._ray.get(reference)
            self._actors[actor] = 0

    def _num_actors(self) -> int:
        num_cpus = int(self._ray.cluster_resources().get("CPU", 0))
        return max(1, num_cpus if self._jobs is None else min(self._jobs, num_cpus))

    def _result(self, reference: Any, actor: Any, rows: Range) -> Counts | None:
        """What became of a range; None when its actor was lost, and it waits again."""
        try:
            result: Counts | str = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._actors.pop(actor, None)
            self._losses[rows.number] += 1
            if self._losses[rows.number] > 2 * MAX_ATTEMPTS:
                raise DataError(
                    f"{self._losses[rows.number]} actors were lost with the same rows ({error}); "
                    "look at the cluster, then run the same command again, it continues"
                ) from error
            self._waiting.append(rows)
            return None
        self._actors[actor] -= 1
        if isinstance(result, str):
            raise DataError(result)
        return result


def _connected(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray; pip install 'phidata-vision[ray]'") from error
    try:
        ray.init(address=address or "auto", logging_level=logging.ERROR, log_to_driver=False)
    except ConnectionError as error:
        where = f"at {address}" if address else "on this machine"
        raise UsageError(
            f"no Ray cluster can be reached {where}; start one by `ray start --head`, or name it by --address"
        ) from error
    return ray
