"""A random order of n rows of which any part can be had without the rest, in memory that does not grow with n.

Up to 65 536 rows are sorted by random numbers, 512 KB. More of them go through a Feistel network on two digits: a row
is `left * num_right + right`, and eight times one digit is shifted by a hash of the other and of a key, which can be
undone and is therefore a permutation; what comes out beyond n goes through again (Black and Rogaway, "Ciphers with
Arbitrary Finite Domains", CT-RSA 2002: the generalised Feistel cipher, and cycle walking). With digits near the square
root of n fewer than one row in 250 goes through twice. The hash is the finaliser of SplitMix64 (Steele, Lea, Flood,
"Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from math import isqrt

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

SMALL = 1 << 16
ROUNDS = 8

_HALF = np.uint64(32)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def permutation(n: int, key: str) -> Callable[[Numbers], Numbers]:
    """The order of 0 … n - 1 that belongs to a key, as a function that gives for places the numbers that stand there.

    The same for the same n and key, on every machine and with every release of numpy.
    """
    return _sorted_by_random(n, key) if n <= SMALL else _Feistel(n, key)


def random_words(n: int, key: str) -> Words:
    """So many random words of 64 bits, the same for the same key."""
    seed = int.from_bytes(blake2b(key.encode(), digest_size=16).digest(), "little")
    # The raw words of a bit generator stay what they are from release to release; Generator's methods may change.
    words: Words = np.random.PCG64(seed).random_raw(n)
    return words


def _sorted_by_random(n: int, key: str) -> Callable[[Numbers], Numbers]:
    order: Numbers = np.argsort(random_words(n, key), kind="stable").astype(np.int64, copy=False)
    return order.__getitem__


class _Feistel:
    def __init__(self, n: int, key: str) -> None:
        assert n < 1 << 62  # so that a digit is below 2 ** 31, and its product with a half word below 2 ** 63
        self._n = np.uint64(n)
        left = isqrt(n - 1) + 1
        self._left, self._right = np.uint64(left), np.uint64(-(-n // left))
        self._keys = np.frombuffer(blake2b(key.encode(), digest_size=8 * ROUNDS).digest(), dtype="<u8").astype(
            np.uint64
        )

    def __call__(self, places: Numbers) -> Numbers:
        found = self._once(places.astype(np.uint64))
        while len(beyond := np.flatnonzero(found >= self._n)):
            found[beyond] = self._once(found[beyond])
        return found.astype(np.int64)

    def _once(self, numbers: Words) -> Words:
        left, right = np.divmod(numbers, self._right)
        for number in range(0, ROUNDS, 2):
            _shift(left, self._left, right, self._keys[number])
            _shift(right, self._right, left, self._keys[number + 1])
        left *= self._right
        left += right
        return left


def _shift(digit: Words, base: np.uint64, other: Words, key: np.uint64) -> None:
    """Add a hash of the other digit to a digit, modulo its base, in place."""
    word = other ^ key
    for shift, factor in zip(_SHIFTS, _FACTORS, strict=False):
        word ^= word >> shift
        word *= factor
    word ^= word >> _SHIFTS[-1]
    word >>= _HALF
    word *= base
    word >>= _HALF  # a number from 0 to below the base, by the upper half of the word
    digit += word
    digit -= base * (digit >= base)
