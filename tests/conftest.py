"""Where the golden values lie, and a closing table of how far the model is from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
CUT = ROOT / "tests" / "golden"
LARGEST = pytest.StashKey[dict[str, list[float]]]()  # quantity → [comparisons, largest error, tolerance]

Close = Callable[..., None]


def golden_root() -> Path:
    """`phi3v/` of the complete golden values where they are found, else of the cut that is in the repository.

    The complete set is looked for in $PHITRAIN_GOLDEN and in ../shared/golden.
    """
    named = os.environ.get("PHITRAIN_GOLDEN")
    beside = ROOT.parent / "shared" / "golden"
    return (Path(named) if named else beside if beside.is_dir() else CUT) / "phi3v"


@pytest.fixture
def close(request: pytest.FixtureRequest) -> Close:
    """Assert that a tensor is within `atol` of the golden one, and remember the largest error of each quantity."""
    largest = request.config.stash[LARGEST]

    def check(quantity: str, found: Any, expected: Any, *, atol: float) -> None:
        assert found.shape == expected.shape, quantity
        error = float((found.detach().double() - expected.double()).abs().max())
        note(largest, quantity, [1, error, atol])
        assert error <= atol, f"{quantity}: off by {error:.3g}, more than {atol:g}"

    return check


def note(largest: dict[str, list[float]], quantity: str, new: list[float]) -> None:
    count, error, atol = largest.get(quantity, [0, 0.0, 0.0])
    largest[quantity] = [count + new[0], max(error, new[1]), max(atol, new[2])]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LARGEST] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["largest"] = session.config.stash[LARGEST]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for quantity, new in getattr(node, "workeroutput", {}).get("largest", {}).items():
        note(node.config.stash[LARGEST], quantity, new)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    largest = config.stash[LARGEST]
    if largest:
        which = "a cut of the golden values" if golden_root().parent == CUT else "all golden values"
        terminalreporter.section(f"largest error beside {which}")
        for quantity, (count, error, atol) in sorted(largest.items()):
            terminalreporter.line(f"{quantity:<36} {count:5.0f} comparisons  {error:8.1e}  (tolerance {atol:.0e})")
