"""The row groups that were read last, for all shards of a split together."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Protocol, TypeVar

CACHE_BYTES = 1 << 25


class Held(Protocol):
    """Something that knows how much memory it takes."""

    @property
    def nbytes(self) -> int: ...


H = TypeVar("H", bound=Held)


class GroupCache:
    """Keeps what was read last, up to 32 MB. Can be shared by threads; in another process it begins empty."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._groups: OrderedDict[Hashable, Any] = OrderedDict()
        self._num_bytes = 0

    def get(self, key: Hashable, read: Callable[[], H]) -> H:
        """The group of that key, which is read when it is not here."""
        with self._lock:
            kept: H | None = self._groups.get(key)
            if kept is not None:
                self._groups.move_to_end(key)
                return kept
        group = read()  # without the lock: two threads may read the same group, and none waits for another's
        with self._lock:
            if key not in self._groups:
                self._groups[key] = group
                self._num_bytes += group.nbytes
            while self._num_bytes > CACHE_BYTES and len(self._groups) > 1:
                self._num_bytes -= self._groups.popitem(last=False)[1].nbytes
        return group

    def __reduce__(self) -> tuple[Any, ...]:
        return GroupCache, ()
