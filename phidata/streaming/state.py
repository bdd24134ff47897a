"""Where a stream stands, as a small dictionary that goes into a checkpoint, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from phidata.errors import UsageError
from phidata.streaming.plan import Recipe

FORMAT = 1
_MIX_LENGTH = 200

State = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Place:
    """An epoch, and how many of its samples were given before, to all ranks together."""

    epoch: int
    position: int


def state_at(place: Place, recipe: Recipe) -> State:
    """The state of a stream that stands at a place: numbers and texts, less than 1 KB as JSON."""
    return {"format": FORMAT, "epoch": place.epoch, "position": place.position, **_order_of(recipe)}


def place_in(state: Mapping[str, Any], recipe: Recipe) -> Place:
    """The place that a state tells of. Raises UsageError when it was made for other data or another order."""
    order = _order_of(recipe)
    if state.get("format") != FORMAT or not {"epoch", "position", *order} <= state.keys():
        raise UsageError("this is not the state of a stream; give what its state_dict returned")
    if state["data"] != order["data"]:
        raise UsageError(
            f"this state was made for other data: its fingerprint is {state['data']}, that of "
            f"{_names(recipe)} is {order['data']}; open the data it was made for, or begin anew without it"
        )
    for name, value in order.items():
        if state[name] != value:
            raise UsageError(
                f"this state was made with {name}={state[name]!r}, and the stream has {name}={value!r}, which gives "
                "another order; open the stream as it was, or begin anew without the state"
            )
    return Place(epoch=int(state["epoch"]), position=int(state["position"]))


def _order_of(recipe: Recipe) -> State:
    """All that the order of an epoch follows from."""
    fingerprints = "\n".join(source.address.fingerprint for source in recipe.sources)
    return {
        "data": blake2b(fingerprints.encode(), digest_size=16).hexdigest(),
        "seed": recipe.seed,
        "shuffle": recipe.shuffle,
        "window": recipe.window,
        "mix": None if recipe.shares is None else _short(":".join(map(str, recipe.shares))),
        "stop": None if recipe.shares is None else recipe.stop,
    }


def _short(text: str) -> str:
    if len(text) <= _MIX_LENGTH:
        return text
    return f"{text[:_MIX_LENGTH]}… {blake2b(text.encode(), digest_size=16).hexdigest()}"


def _names(recipe: Recipe) -> str:
    return ", ".join(source.name for source in recipe.sources)
