"""What a run hands back: a model folder that the original code, peft and vLLM open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from phitrain.output import fresh_folder, fsync, make_durable

if TYPE_CHECKING:
    from torch import nn

    from phitrain.models.adapter import Adapter

STAGING = ".saving"
LAST = "config.json"  # without it no loader takes the folder for a model


def save_model(adapter: Adapter, module: nn.Module, folder: Path) -> None:
    """Write weights, configuration, tokenizer and processor files into `folder`; the model's config.json comes last."""
    with fresh_folder(folder / STAGING) as staging:
        adapter.save(module, staging)
        adapter.preprocessor.save(staging)
        make_durable(staging)
        for file in sorted(staging.iterdir(), key=lambda file: (file.name == LAST, file.name)):
            file.replace(folder / file.name)
    fsync(folder)
