"""Finds all pairs of 64-bit hashes that differ in few bits, without comparing each with each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from phidata.errors import DataError

MAX_DISTANCE = 15
MAX_PAIRS = 20_000_000  # 160 MB, three times as much while they are sorted

_BANDS = 4
_BAND_BITS = 16
_CHUNK = 1 << 21  # candidates compared at a time
_ONES = np.array([number.bit_count() for number in range(1 << _BAND_BITS)], dtype=np.uint8)

Hashes = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


def near_pairs(hashes: Hashes, distance: int) -> tuple[Numbers, Numbers]:
    """The pairs of different hashes, by their places, that differ in at most `distance` bits; the first is the smaller.

    Multi-index hashing (Norouzi, Punjani, Fleet, 2012): of four bands of 16 bits at least one differs in at most
    distance // 4 bits, so only hashes that are so close in a band are compared. Raises DataError for more pairs than
    half of MAX_PAIRS.
    """
    found = [np.zeros(0, dtype=np.int64)]
    for first, second in _candidates(hashes, distance // _BANDS):
        near = _ones(hashes[first] ^ hashes[second]) <= distance
        found.append(first[near] * len(hashes) + second[near])
        if sum(map(len, found)) > MAX_PAIRS:
            found = [np.unique(np.concatenate(found))]  # most pairs come once for each band
        if len(found[0]) > MAX_PAIRS // 2:
            raise DataError(
                f"more than {MAX_PAIRS // 2:,} pairs of the images look alike; lower --distance, or compare --exact"
            )
    pairs = np.unique(np.concatenate(found))
    return pairs // max(1, len(hashes)), pairs % max(1, len(hashes))


def differing_bits(one: int, other: int) -> int:
    """In how many bits two hashes differ."""
    return (one ^ other).bit_count()


def _candidates(hashes: Hashes, radius: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Pairs of places whose hashes differ in at most `radius` bits of one band; some come several times."""
    bands = hashes.view(np.uint16).reshape(-1, _BANDS)
    for band in bands.T:
        order = np.argsort(band, kind="stable").astype(np.int64)
        counts = np.bincount(band, minlength=1 << _BAND_BITS).astype(np.int64)
        starts = np.cumsum(counts) - counts
        for flipped in _flips(radius):
            partners = band ^ np.uint16(flipped)
            yield from _products(order, starts[partners], counts[partners])


def _products(order: Numbers, starts: Numbers, counts: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Each place with each of the `counts[place]` places from `starts[place]` of the order on, smaller ones first."""
    ends = np.cumsum(counts)
    begin = 0
    while begin < len(counts):
        done = int(ends[begin] - counts[begin])
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        size = counts[begin:end]
        first = np.repeat(np.arange(begin, end), size)
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        second = order[np.repeat(starts[begin:end], size) + within]
        ascending = first < second
        yield first[ascending], second[ascending]
        begin = end


def _flips(radius: int) -> Iterator[int]:
    for num_bits in range(radius + 1):
        for bits in combinations(range(_BAND_BITS), num_bits):
            yield sum(1 << bit for bit in bits)


def _ones(hashes: Hashes) -> npt.NDArray[np.uint8]:
    ones: npt.NDArray[np.uint8] = _ONES[hashes.view(np.uint16)].reshape(-1, _BANDS).sum(axis=1, dtype=np.uint8)
    return ones
