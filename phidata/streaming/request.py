"""What can be asked of a stream, and what is said where it can not be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import isfinite

from phidata.errors import UsageError
from phidata.streaming.interleaving import whole_shares
from phidata.streaming.plan import STOPS, Recipe
from phidata.streaming.reading import UNEVEN, Reading
from phidata.streaming.sources import Source
from phidata.streaming.state import Place


def shares_of(sources: Sequence[Source], mix: Mapping[str, float]) -> tuple[int, ...]:
    """The whole shares of data sets by the weights of their names or paths. Raises UsageError where they do not fit."""
    weights: dict[str, float] = {}
    for key, weight in mix.items():
        name = next((source.name for source in sources if key in (source.name, source.given)), None)
        if name is None:
            raise UsageError(f"mix names {key!r}, which is not among the data sets: {_listed(sources)}")
        if not (weight > 0 and isfinite(weight)):
            raise UsageError(
                f"mix gives {key!r} the weight {weight}; give one greater than 0, or leave the data set out"
            )
        weights[name] = weight
    for source in sources:
        if source.name not in weights:
            raise UsageError(f"mix has no weight for {source.name!r}; give it one, or leave the data set out")
        if not source.num_rows:
            raise UsageError(f"{source.given} has no rows to mix; leave it out")
    return whole_shares([weights[source.name] for source in sources])


def check(recipe: Recipe, reading: Reading, num_samples: int) -> None:
    """Raise UsageError for what no stream can have."""
    _check_room(recipe)
    if recipe.stop not in STOPS:
        raise UsageError(f"stop={recipe.stop!r} is none of {_either(STOPS)}")
    if reading.uneven not in UNEVEN:
        raise UsageError(f"uneven={reading.uneven!r} is none of {_either(UNEVEN)}")
    if not 0 <= reading.rank < reading.world_size:
        raise UsageError(
            f"rank {reading.rank} is not one of the {reading.world_size} ranks 0 … {reading.world_size - 1}"
        )
    if recipe.window is not None and recipe.window < 1:
        raise UsageError(f"window={recipe.window} shards can not be shuffled together; give 1 or more, or leave it out")
    if reading.endless and not num_samples:
        raise UsageError(f"{_listed(recipe.sources)} has no rows, and an endless stream of them has no first one")


def check_place(place: Place, num_samples: int) -> None:
    """Raise UsageError for a place that no epoch has."""
    if place.epoch < 0 or not 0 <= place.position <= num_samples:
        raise UsageError(
            f"there is no position {place.position} in epoch {place.epoch}; "
            f"epochs count from 0, and have {num_samples} samples"
        )


def _check_room(recipe: Recipe) -> None:
    """Shards that are read in turns have to be in the cache together, or each row would fetch one."""
    rooms = [source.address.room for source in recipe.sources if source.address.room is not None]
    if not (rooms and recipe.shuffle):
        return
    from phidata.storage.cache import limit_of

    limit = limit_of(rooms[0].num_bytes)
    groups = [source.sizes for source in recipe.sources]
    if recipe.shares is None:
        groups = [tuple(chain.from_iterable(groups))]
    needed = sum(sum(sorted(sizes, reverse=True)[: recipe.window]) for sizes in groups)
    if needed > limit:
        raise UsageError(
            f"shards of {needed} bytes are read in turns and the cache holds {limit}: each would be fetched again and "
            "again; shuffle fewer together by window=…, or give a larger cache_bytes"
        )


def _listed(sources: Sequence[Source]) -> str:
    return ", ".join(repr(source.name) for source in sources)


def _either(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
