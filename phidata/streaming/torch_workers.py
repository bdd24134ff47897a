"""What a stream has to know of torch, which it never imports: whether a DataLoader's worker reads it, and which."""

from __future__ import annotations

import sys
from multiprocessing import context
from multiprocessing.sharedctypes import RawValue
from typing import Any, NamedTuple


class Worker(NamedTuple):
    """One of the processes that share the samples of a rank."""

    number: int
    total: int


def this_worker() -> Worker | None:
    """The DataLoader worker that this process is; None in a process that is none."""
    data = sys.modules.get("torch.utils.data")
    info = None if data is None else data.get_worker_info()
    return None if info is None else Worker(info.id, info.num_workers)


def let_torch_iterate(kind: type) -> None:
    """Make a DataLoader take objects of this class for iterable data, where torch is imported."""
    data = sys.modules.get("torch.utils.data")
    if data is not None:
        data.IterableDataset.register(kind)


class SharedFlag:
    """A flag that processes share which are made from this one, by fork or by multiprocessing."""

    def __init__(self) -> None:
        self._value = RawValue("b", 0)

    def __bool__(self) -> bool:
        return bool(self._value.value)

    def put(self, value: bool) -> None:
        self._value.value = int(value)

    def __reduce__(self) -> tuple[Any, ...]:
        if context.get_spawning_popen() is None:  # in a copy or a file: a flag of its own
            return SharedFlag, ()
        return _shared_flag, (self._value,)


def _shared_flag(value: Any) -> SharedFlag:
    flag = SharedFlag()
    flag._value = value
    return flag
