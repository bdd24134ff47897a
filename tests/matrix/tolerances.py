"""How far a run may be from the plain fp32 loop: three times or more what the pairwise cells measured."""

from __future__ import annotations

from typing import Any, NamedTuple

from .cells import STEPS


class Tolerance(NamedTuple):
    """Relative: of a step's loss, of its gradient norm, of all weights to the way that training took them."""

    loss: float
    grad_norm: float
    weights: float


TOLERANCES = {
    "fp32": Tolerance(5e-6, 2e-4, 2e-5),
    "fp16": Tolerance(1.5e-3, 2.5e-2, 5e-2),
    "bf16": Tolerance(3e-3, 3e-2, 1e-1),
}


def complaints(result: dict[str, Any]) -> list[str]:
    """What is wrong with a result of tests.matrix.running; empty for nothing."""
    limits = TOLERANCES[result["cell"]["precision"]]._asdict()
    far = [f"{what} is {result[what]:.1e} away" for what, limit in limits.items() if not result[what] <= limit]
    found = [f"{what}: {', '.join(names[:4])}" for what, names in result["breaches"].items()]
    # In fp16 a loss scale that is too high costs a step, and is halved.
    may_skip = 1 if result["cell"]["precision"] == "fp16" else 0
    is_whole = len(result["losses"]) == STEPS and result["skipped"] <= may_skip
    return [*far, *found, *([] if is_whole else ["not every step was made"])]
