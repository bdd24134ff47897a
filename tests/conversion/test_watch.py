"""What a parent reads of its workers."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from phidata.conversion.watch import NOTHING, Watch, new_watch_file


@pytest.fixture
def sides() -> tuple[Watch, Watch]:
    descriptor = new_watch_file()
    worker, parent = Watch(descriptor), Watch(descriptor)
    os.close(descriptor)
    return worker, parent


def test_a_place_is_that_of_the_row_that_is_under_way(sides: tuple[Watch, Watch]) -> None:
    worker, parent = sides
    assert parent.read()[:3] == (NOTHING, NOTHING, 0)
    worker.begin_range(3)
    worker.begin_row(70)
    assert parent.read()[:3] == (3, 70, 0)
    worker.end_row()
    assert parent.read()[:3] == (3, NOTHING, 1)


def test_a_place_is_never_half_of_another(sides: tuple[Watch, Watch]) -> None:
    worker, parent = sides
    worker.begin_range(0)
    began = parent.read().since
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            for number in range(1, 1000):
                worker.begin_range(number)
                worker.begin_row(number)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(20_000):
            place = parent.read()
            assert place.since >= began
            assert place.row in (NOTHING, place.range)
    finally:
        stop.set()
        thread.join()


def test_a_watch_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    os.close(new_watch_file())
