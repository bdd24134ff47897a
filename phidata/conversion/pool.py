"""Worker processes that convert rows, and what happens when one of them dies."""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from types import TracebackType

from phidata.conversion.outcome import Failed, Outcome
from phidata.conversion.worker import Job, OutputLost, Task
from phidata.errors import DataError
from phidata.workers import start_worker

MAX_ATTEMPTS = 2  # a process may be killed for want of memory, and the row be converted when there is some again
MAX_STOCK = 8  # tasks of a worker; rows of a few hundred microseconds need that
STOCK_BYTES = 16 << 10  # less than any pipe holds, so that nobody waits for the other to read


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
        return [connection for connection, worker in self._workers.items() if worker.tasks]

    def _hand_out(self) -> None:
        """Give the waiting tasks to the workers, neighbours to the same one, and to new ones while there may be more.

        The fewer are left the fewer a worker has in stock, so that all of them end at about the same time.
        """
        while self._waiting and len(self._workers) < self._jobs:
            worker = Worker(self._job)
            self._workers[worker.connection] = worker
            worker.give(self._waiting.popleft())
        for worker in self._workers.values():
            stock = min(MAX_STOCK, max(1, len(self._waiting) // (4 * self._jobs)))
            while self._waiting and worker.has_room(stock):
                worker.give(self._waiting.popleft())

    def _bury(self, worker: Worker, task: Task) -> Failed | None:
        """Take leave of a worker that died, and judge its task: it has failed, or waits again."""
        del self._workers[worker.connection]
        code = worker.leave()
        if code >= 0:
            raise DataError(f"the worker that converted {task.row.place} ended by an error of its own, shown above")
        self._waiting.extendleft(reversed(worker.tasks))  # what it had not begun
        self._deaths[task.number] += 1
        if self._deaths[task.number] < MAX_ATTEMPTS:
            self._waiting.append(task)
            return None
        name = signal.Signals(-code).name
        return Failed(reason=f"its worker process was killed by {name}, {MAX_ATTEMPTS} times")


class Worker:
    """One process and the tasks that it has: the one that it works on, and some in stock."""

    def __init__(self, job: Job) -> None:
        self.tasks: deque[Task] = deque()
        self._num_bytes: deque[int] = deque()
        self._process, self.connection = start_worker("phidata.conversion.worker")
        self._send(ForkingPickler.dumps(job))

    def has_room(self, stock: int) -> bool:
        """Whether a task can be given without waiting for the worker to read it: the pipe holds that much."""
        return not self.tasks or (len(self.tasks) < stock and sum(self._num_bytes) < STOCK_BYTES)

    def give(self, task: Task) -> None:
        message = ForkingPickler.dumps(task)
        self.tasks.append(task)
        self._num_bytes.append(len(message))
        self._send(message)

    def take(self) -> tuple[Task, Outcome | OutputLost | None]:
        """Its oldest task and what became of it: None when the process has died."""
        task = self.tasks.popleft()
        self._num_bytes.popleft()
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

    def _send(self, message: memoryview) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, which `take` will find out
            self.connection.send_bytes(message)
