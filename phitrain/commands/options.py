"""What several commands share: options that are None unless given, lists, and a look at the places that are named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from phidata.errors import UsageError
from phidata.loading import open_folder
from phitrain.config import Config
from phitrain.models.adapter import check_model

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def flag(*names: str, **attributes: Any) -> Decorator:
    """An option that is None unless it was given."""
    return click.option(*names, default=None, **attributes)


def form() -> Decorator:
    return click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


def names_of(text: str | None) -> list[str] | None:
    """The names of a comma-separated list."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def check_places(config: Config) -> None:
    """Find a wrong name in a moment, before the heavy libraries are loaded."""
    folder = open_folder(config.data.dir)
    for split in (config.data.train_split, *config.eval.splits) if config.train.output_dir else config.eval.splits:
        folder.split(split)
    check_model(config.model.name_or_path)


def require(**values: str) -> None:
    """Raise UsageError for the first value that is empty, naming its flag."""
    for name, value in values.items():
        if not value:
            raise UsageError(f"--{name} is missing; `phitrain train --help` lists the flags")
