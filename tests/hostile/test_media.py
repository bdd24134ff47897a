"""Ten thousand pictures and videos with changed bytes were read; `python -m tests.hostile media` reads them again."""

from __future__ import annotations

from .media import media_targets, results

LEAST_CASES = 10_000


def test_the_table_of_changed_media_is_whole_and_has_no_fault() -> None:
    counts = results()
    assert [(count.target, count.what) for count in counts] == [(kind.name, kind.what) for kind in media_targets()]
    assert sum(count.cases for count in counts) >= LEAST_CASES
    assert [count for count in counts if count.faults or count.taken + count.told + count.refused < count.cases] == []
