"""The same checks in this process or in several; results come in the order of the tasks either way.

The parts of a result have to be taken before the next result is asked for.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from secrets import randbelow
from typing import BinaryIO

from phidata.errors import PhidataError
from phidata.validation.checks import Checks
from phidata.validation.part import Part
from phidata.validation.seen import local_slots, slots_file
from phidata.validation.task import PartCheck, Task
from phidata.workers import start_worker

Results = Iterator[tuple[Task, Iterator[Part]]]
CheckTasks = Callable[[Iterable[Task]], Results]

_AHEAD = 3  # tasks given to a worker before its first result is taken; more would only hold results in memory
_MAX_HASH_SEED = 2**32 - 1


@contextmanager
def task_checks(checks: Checks, jobs: int) -> Iterator[CheckTasks]:
    """A function that checks ranges of files: here for one job, else in that many worker processes."""
    if jobs == 1:
        check = PartCheck(checks, local_slots())
        yield lambda tasks: ((task, check(task)) for task in tasks)
        return
    workers: list[Worker] = []
    with slots_file() as slots:
        try:
            hash_seed = 1 + randbelow(_MAX_HASH_SEED)  # the same for all: what they hash is compared
            workers.extend(Worker(checks, slots, hash_seed) for _ in range(jobs))
            yield lambda tasks: _in_order(workers, tasks)
        finally:
            for worker in workers:
                worker.kill()


def _in_order(workers: list[Worker], tasks: Iterable[Task]) -> Results:
    waiting: deque[tuple[Task, Worker]] = deque()
    for task, worker in zip(tasks, cycle(workers), strict=False):
        if len(waiting) == _AHEAD * len(workers):
            first, earlier = waiting.popleft()
            yield first, earlier.take()
        worker.give(task)
        waiting.append((task, worker))
    for task, worker in waiting:
        yield task, worker.take()


class Worker:
    """One process, which answers its tasks in their order."""

    def __init__(self, checks: Checks, slots: BinaryIO, hash_seed: int) -> None:
        number = slots.fileno()
        self._process, self._connection = start_worker(
            "phidata.validation.worker", str(number), files=[number], environment={"PYTHONHASHSEED": str(hash_seed)}
        )
        self._send(checks)

    def give(self, task: Task) -> None:
        self._send(task)

    def take(self) -> Iterator[Part]:
        """The parts of its earliest task. Raises PhidataError when the process has died."""
        try:
            while (part := self._connection.recv()) is not None:
                yield part
        except (EOFError, OSError) as error:
            raise PhidataError(f"a checking process died{self._cause()}; use fewer jobs") from error

    def _send(self, message: Checks | Task) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: `take` says so
            self._connection.send(message)

    def kill(self) -> None:
        self._process.kill()
        self._connection.close()
        self._process.wait()

    def _cause(self) -> str:
        code = self._process.wait()
        return f", killed by {signal.Signals(-code).name}" if code < 0 else " by an error of its own, shown above"
