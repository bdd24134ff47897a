"""Several at a time: actions that mostly wait for a network, in threads that never keep the program from ending."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = 8  # and items


def abreast(action: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What the action returns for each item, in their order; eight items at a time are under way, or done and not
    taken yet.

    What the action raises is raised in its place. Whoever stops taking leaves what is under way to end by itself.
    """
    waiting: SimpleQueue[tuple[Future[R], T] | None] = SimpleQueue()
    under_way: deque[Future[R]] = deque()
    num_threads = 0
    try:
        for item in items:
            if len(under_way) == THREADS:
                yield under_way.popleft().result()
            if num_threads < THREADS:
                Thread(target=_work, args=(action, waiting), daemon=True).start()
                num_threads += 1
            under_way.append(Future())
            waiting.put((under_way[-1], item))
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()
        for _ in range(num_threads):
            waiting.put(None)


def _work(action: Callable[[T], R], waiting: SimpleQueue[tuple[Future[R], T] | None]) -> None:
    while (order := waiting.get()) is not None:
        future, item = order
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(action(item))
        except BaseException as error:  # raised again by whoever takes the result
            future.set_exception(error)
