"""Ids as numbers of 64 bits: small enough to keep one of every row, and compared all at once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NO_ID = -1  # Python's hash() is never -1

_FEW = 1 << 12  # numpy takes longer to import than these to compare
_MANY = 1 << 20  # that are sorted at once; of more a quarter or a sixteenth is, which takes less memory
_VERY_MANY = 1 << 25


def id_hashes(ids: Iterable[str | None]) -> array[int]:
    """The hash of each id, NO_ID where there is none. Processes agree on it when they have the same PYTHONHASHSEED."""
    return array("q", [NO_ID if id_ is None else hash(id_) for id_ in ids])


class Repeated:
    """Which of many hashes stand more than once. Takes less than half of their memory beside them."""

    def __init__(self, hashes: array[int]) -> None:
        self._hashes = hashes
        is_unique = len(hashes) < _FEW and len(set(hashes)) == len(hashes)
        self._found = None if is_unique else _found(hashes)

    def __bool__(self) -> bool:
        return self._found is not None and len(self._found) > 0

    def places(self, start: int, end: int) -> list[int]:
        """Where they stand among the hashes from `start` to `end`, counted from `start`."""
        import numpy as np

        if self._found is None:
            return []
        values = np.frombuffer(self._hashes, np.int64)[start:end]
        nearest = np.searchsorted(self._found[:-1], values)
        places: list[int] = (self._found[nearest] == values).nonzero()[0].tolist()
        return places


def _found(hashes: array[int]) -> npt.NDArray[np.int64]:
    """Each hash that stands more than once, ascending."""
    import numpy as np

    values = np.frombuffer(hashes, np.int64)
    num_buckets = 1 if len(values) < _MANY else 4 if len(values) < _VERY_MANY else 16
    buckets = values.astype(np.uint8) % num_buckets
    found = np.concatenate([_again(values[buckets == bucket]) for bucket in range(num_buckets)])
    ascending: npt.NDArray[np.int64] = np.unique(found[found != NO_ID])
    return ascending


def _again(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    values.sort()
    again: npt.NDArray[np.int64] = values[1:][values[1:] == values[:-1]]
    return again
