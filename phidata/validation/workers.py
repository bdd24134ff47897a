"""The same checks in one process or in several; results come in the order of the tasks either way."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context

from phidata.errors import PhidataError
from phidata.validation.inputs import DataFile, Media
from phidata.validation.lines import LineRange
from phidata.validation.part import Part, PartCheck
from phidata.validation.seen import NUM_SLOTS, Slots, local_slots

Task = tuple[DataFile, LineRange]
Results = Iterator[tuple[Task, Part]]
CheckRanges = Callable[[Iterable[Task]], Results]

_AHEAD = 3  # tasks in flight for each process; more would only hold results in memory

_check: PartCheck  # of this process, set when the process starts


@contextmanager
def range_checks(media: Media, jobs: int) -> Iterator[CheckRanges]:
    """A function that checks ranges: here for one job, else in as many other processes."""
    if jobs == 1:
        check = PartCheck(media, local_slots())
        yield lambda tasks: ((task, check(*task)) for task in tasks)
        return
    # Forking a program that has threads, as trainers do, can lock up: the processes start afresh.
    context = get_context("spawn")
    executor = ProcessPoolExecutor(
        jobs, context, initializer=_start, initargs=(media, context.RawArray("Q", NUM_SLOTS))
    )
    try:
        yield lambda tasks: _in_order(executor, tasks, jobs * _AHEAD)
    except BrokenProcessPool as error:
        raise PhidataError(
            "a checking process died, for lack of memory or because the calling program starts work at import; "
            "use fewer jobs, or guard the call by `if __name__ == '__main__':`"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _in_order(executor: ProcessPoolExecutor, tasks: Iterable[Task], limit: int) -> Results:
    waiting: deque[tuple[Task, Future[Part]]] = deque()
    for task in tasks:
        waiting.append((task, executor.submit(_run, task)))
        if len(waiting) >= limit:
            first, result = waiting.popleft()
            yield first, result.result()
    for first, result in waiting:
        yield first, result.result()


def _start(media: Media, slots: Slots) -> None:
    global _check
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends its processes
    _check = PartCheck(media, slots)


def _run(task: Task) -> Part:
    return _check(*task)
