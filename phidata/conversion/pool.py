"""Worker processes that convert ranges of rows, and what happens when one of them dies or hangs."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from types import TracebackType

from phidata.conversion.listing import Range
from phidata.conversion.parts import Counts
from phidata.conversion.task import Job
from phidata.conversion.watch import NOTHING, Place, Watch, new_watch_file
from phidata.conversion.worker import Answer, Mistake, Order, PlaceLost
from phidata.errors import DataError
from phidata.workers import start_worker

MAX_ATTEMPTS = 2  # a process may be killed for want of memory, and the row be converted when there is some again
STOCK = 2  # ranges of a worker: the one that it works on, and the next
LOOK_S = 0.25  # how often the workers are looked at while none of them has finished a range


class Pool:
    """At most `jobs` workers, started when there is work for them and killed at the end of the block.

    A row that takes longer than `row_timeout_s` fails; None lets it take as long as it wants. `held` are descriptors
    that each worker keeps open for as long as it lives: a lock on what it writes.
    """

    def __init__(self, job: Job, jobs: int, *, row_timeout_s: float | None = None, held: Sequence[int] = ()) -> None:
        self._name = secrets.token_hex(4)
        self._held = held
        self._job = job
        self._jobs = jobs
        self._row_timeout_s = row_timeout_s
        self._workers: dict[Connection, Worker] = {}
        self._waiting: deque[Range] = deque()
        self._deaths: Counter[int] = Counter()
        self._condemned: defaultdict[int, dict[int, str]] = defaultdict(dict)  # of each range its rows

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for worker in self._workers.values():
            worker.kill()

    def run(
        self, ranges: Iterable[Range], tell: Callable[[int], object] = lambda _: None
    ) -> Iterator[tuple[Range, Counts]]:
        """Convert every range and yield each when it is done, in any order; meanwhile `tell` how many rows of those
        that are not done yet are.

        A row whose worker is killed is tried once more and then fails, one that takes too long fails at once. Raises
        DataError when the output can not be written, and when the converter makes a mistake.
        """
        self._waiting.extend(ranges)
        while busy := self._busy():
            for connection in wait(busy, timeout=LOOK_S):
                worker = self._workers[connection]  # type: ignore[index]  # what was given to wait comes back
                rows, answer = worker.take()
                if answer is None:
                    self._bury(worker, rows)
                    continue
                counts = _counts_of(answer)
                self._hand_out()  # before the caller deals with it, so that no worker waits for that
                self._condemned.pop(rows.number, None)
                yield rows, counts
            self._end_those_that_hang()
            tell(sum(worker.num_done() for worker in self._workers.values()))

    def _busy(self) -> list[Connection]:
        self._hand_out()
        return [connection for connection, worker in self._workers.items() if worker.orders]

    def _hand_out(self) -> None:
        """Give the waiting ranges to the workers, and to new ones while there may be more."""
        for worker in self._workers.values():
            if self._waiting and not worker.orders:
                self._give(worker)
        while self._waiting and len(self._workers) < self._jobs:
            worker = Worker(self._job, self._held)
            self._workers[worker.connection] = worker
            self._give(worker)
        for worker in self._workers.values():
            stock = STOCK if len(self._waiting) > self._jobs else 1
            while self._waiting and len(worker.orders) < stock:
                self._give(worker)

    def _give(self, worker: Worker) -> None:
        rows = self._waiting.popleft()
        worker.give(Order(rows=rows, pool=self._name, condemned=self._condemned.get(rows.number, {})))

    def _bury(self, worker: Worker, rows: Range) -> None:
        """Take leave of a worker that died in a range, and judge the row that it was at; the others wait again."""
        del self._workers[worker.connection]
        place = worker.place()
        how = worker.leave()
        if place.range == rows.number and place.row != NOTHING:
            self._deaths[place.row] += 1
            if self._deaths[place.row] >= MAX_ATTEMPTS:
                self._condemned[rows.number][place.row] = f"its worker process {how}, {MAX_ATTEMPTS} times"
        else:
            self._deaths[-1 - rows.number] += 1
            if self._deaths[-1 - rows.number] > MAX_ATTEMPTS:
                raise DataError(f"worker processes die before they convert a row ({how}); run the same command again")
        self._waiting.extendleft(reversed([order.rows for order in worker.orders]))
        self._waiting.append(rows)

    def _end_those_that_hang(self) -> None:
        if self._row_timeout_s is None:
            return
        for worker in self._workers.values():
            place = worker.place()
            if place.row != NOTHING and time.monotonic() - place.since > self._row_timeout_s:
                worker.end()
                if worker.place() == place:  # it had not gone on just then
                    reason = f"it takes longer than --row-timeout {self._row_timeout_s:g} seconds"
                    self._condemned[place.range][place.row] = reason


class Worker:
    """One process and the ranges that it has: the one that it works on, and perhaps the next."""

    def __init__(self, job: Job, held: Sequence[int] = ()) -> None:
        self.orders: deque[Order] = deque()
        descriptor = new_watch_file()
        try:
            self._process, self.connection = start_worker(
                "phidata.conversion.worker", str(descriptor), files=(descriptor, *held)
            )
            self._watch = Watch(descriptor)
        finally:
            os.close(descriptor)
        self._send(ForkingPickler.dumps(job))

    def give(self, order: Order) -> None:
        self.orders.append(order)
        self._send(ForkingPickler.dumps(order))

    def take(self) -> tuple[Range, Answer | None]:
        """Its oldest range and what became of it: None when the process has died."""
        order = self.orders.popleft()
        try:
            return order.rows, self.connection.recv()
        except (EOFError, OSError):
            return order.rows, None

    def place(self) -> Place:
        return self._watch.read()

    def num_done(self) -> int:
        """How many rows of the range that it works on are done."""
        place = self._watch.read()
        return place.num_done if self.orders and place.range == self.orders[0].rows.number else 0

    def end(self) -> None:
        """Kill the process; the connection tells of its death."""
        self._process.kill()
        self._process.wait()

    def leave(self) -> str:
        """Let the process end, and say how it did."""
        self.connection.close()
        self._watch.close()
        code = self._process.wait()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def kill(self) -> None:
        self._process.kill()
        self.leave()

    def _send(self, message: memoryview) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died, which `take` will find out
            self.connection.send_bytes(message)


def _counts_of(answer: Answer) -> Counts:
    if isinstance(answer, PlaceLost):
        raise DataError(f"{answer.reason}; {answer.remedy} and run the same command again, it continues")
    if isinstance(answer, Mistake):
        raise DataError(f"the worker that converted {answer.place} ended by an error of its own, shown above")
    return answer
