"""The same checks in this process or in several; results come in the order of the tasks either way.

Workers are fresh interpreters: they share no memory, lock or open file with the caller, who may have threads and needs
no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from multiprocessing import Pipe
from typing import BinaryIO

from phidata.errors import PhidataError
from phidata.validation.inputs import Media
from phidata.validation.part import Part, PartCheck, Task
from phidata.validation.seen import local_slots, slots_file

Results = Iterator[tuple[Task, Part]]
CheckTasks = Callable[[Iterable[Task]], Results]

_AHEAD = 3  # tasks given to a worker before its first result is taken; more would only hold results in memory
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:-3]; from phidata.validation.worker import main; main()"


@contextmanager
def task_checks(media: Media, jobs: int) -> Iterator[CheckTasks]:
    """A function that checks ranges of files: here for one job, else in that many worker processes."""
    if jobs == 1:
        check = PartCheck(media, local_slots())
        yield lambda tasks: ((task, check(task)) for task in tasks)
        return
    workers: list[Worker] = []
    with slots_file() as slots:
        try:
            workers.extend(Worker(media, slots) for _ in range(jobs))
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

    def __init__(self, media: Media, slots: BinaryIO) -> None:
        self._connection, theirs = Pipe()
        command = [sys.executable, "-c", _PROGRAM, *sys.path, media, str(slots.fileno()), str(theirs.fileno())]
        with theirs, _interrupt_blocked():
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=2, pass_fds=[slots.fileno(), theirs.fileno()]
            )

    def give(self, task: Task) -> None:
        self._connection.send(task)

    def take(self) -> Part:
        """The result of its earliest task. Raises PhidataError when the process has died."""
        try:
            part: Part = self._connection.recv()
        except (EOFError, OSError) as error:
            raise PhidataError(f"a checking process died{self._cause()}; use fewer jobs") from error
        return part

    def kill(self) -> None:
        self._process.kill()
        self._connection.close()
        self._process.wait()

    def _cause(self) -> str:
        code = self._process.wait()
        return f", killed by {signal.Signals(-code).name}" if code < 0 else " by an error of its own, shown above"


@contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """A process started in this block never gets Ctrl-C: that is for its parent to answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
