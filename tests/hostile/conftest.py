"""A folder to work in, and converters that are looked up once: hundreds of commands run in one process here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _converters_looked_up_once() -> Iterator[None]:
    found = lru_cache(entry_points)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("phidata.conversion.converter.entry_points", found)
        yield


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
