"""The golden tiny models as published folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from .golden import write_model_folder


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """tiny_gqa and tiny_mha by name."""
    root = tmp_path_factory.mktemp("golden")
    return {model: write_model_folder(model, root / model) for model in ("tiny_gqa", "tiny_mha")}
