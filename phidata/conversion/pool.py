"""Worker processes that convert rows, and what happens when one of them dies."""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from types import TracebackType

from phidata.conversion.outcome import Failed, Outcome
from phidata.conversion.worker import Job, OutputLost, Task
from phidata.errors import DataError
from phidata.workers import start_worker

MAX_ATTEMPTS = 2  # a process may be killed for want of memory, and the row be converted when there is some again


class Pool:
    """At most `jobs` workers, started when there is work for them and killed at the end of the block."""

    def __init__(self, job: Job, jobs: int) -> None:
        self._job = job
        self._jobs = jobs
        self._workers: dict[Connection, Worker] = {}
        self._waiting: deque[Task] = deque()
        self._deaths: Counter[int] = Counter()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers.values():
            worker.kill()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Outcome]]:
        """Convert every task and yield each when it is done, in any order.

        A task whose worker is killed is tried once more and then fails. Raises DataError when the output can not be
        written, and when a worker ends by an error of its own: that is a mistake in the converter.
        """
        self._waiting.extend(tasks)
        while busy := self._busy_connections():
            for connection in wait(busy):
                worker = self._workers[connection]  # type: ignore[index]  # what was given to wait comes back
                task, result = worker.take()
                if isinstance(result, OutputLost):
                    raise DataError(f"{result.reason}; make room and run the same command again, it continues")
                outcome = result or self._bury(worker, task)
                self._hand_out()  # before the caller deals with the outcome, so that no worker waits for that
                if outcome is not None:
                    yield task, outcome

    def _busy_connections(self) -> list[Connection]:
        self._hand_out()
        return [connection for connection, worker in self._workers.items() if worker.task is not None]

    def _hand_out(self) -> None:
        """Give the waiting tasks to the workers that have none, and to new ones as long as there may be more."""
        for worker in self._workers.values():
            if self._waiting and worker.task is None:
                worker.give(self._waiting.popleft())
        while self._waiting and len(self._workers) < self._jobs:
            worker = Worker(self._job)
            self._workers[worker.connection] = worker
            worker.give(self._waiting.popleft())

    def _bury(self, worker: Worker, task: Task) -> Failed | None:
        """Take leave of a worker that died, and judge its task: it has failed, or waits again."""
        del self._workers[worker.connection]
        code = worker.leave()
        if code >= 0:
            raise DataError(f"the worker that converted {task.row.file} ended by an error of its own, shown above")
        self._deaths[task.number] += 1
        if self._deaths[task.number] < MAX_ATTEMPTS:
            self._waiting.append(task)
            return None
        name = signal.Signals(-code).name
        return Failed(reason=f"its worker process was killed by {name}, {MAX_ATTEMPTS} times")


class Worker:
    """One process and the task that it has at present."""

    def __init__(self, job: Job) -> None:
        self.task: Task | None = None
        self._process, self.connection = start_worker("phidata.conversion.worker")
        self._send(job)

    def give(self, task: Task) -> None:
        self.task = task
        self._send(task)

    def take(self) -> tuple[Task, Outcome | OutputLost | None]:
        """Its task and what became of it: None when the process has died."""
        assert self.task is not None
        task, self.task = self.task, None
        try:
            return task, self.connection.recv()
        except (EOFError, OSError):
            return task, None

    def leave(self) -> int:
        """Let the process end, and return its exit code."""
        self.connection.close()
        return self._process.wait()

    def kill(self) -> None:
        self._process.kill()
        self.leave()

    def _send(self, message: Job | Task) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, which `take` will find out
            self.connection.send(message)
