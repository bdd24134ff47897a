"""A few changed inputs for every reader; `python -m tests.hostile mutations` tries thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from .mutations import results, run_cases
from .targets import Target, targets

CASES = 8  # of each target
LEAST_CASES = 10_000  # of all targets together, in the table


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_changed_bytes_are_taken_told_or_refused(target: Target, tmp_path: Path) -> None:
    count, faults = run_cases(target, range(CASES), 1, tmp_path)
    assert faults == []
    assert count.taken + count.told + count.refused == CASES


def test_the_table_of_changed_inputs_is_whole_and_has_no_fault() -> None:
    counts = list(results())
    assert [count.target for count in counts] == [target.name for target in targets()]
    assert sum(count.cases for count in counts) >= LEAST_CASES
    assert [
        count.target for count in counts if count.faults or count.taken + count.told + count.refused < count.cases
    ] == []
