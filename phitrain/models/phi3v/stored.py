"""A phi3_v checkpoint on the disk: its tensors one at a time, and its configuration files without a model."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers import GenerationConfig

from phitrain.models.hub import model_folder
from phitrain.models.phi3v.checking import refuse_misfit, stop_at_turn_end
from phitrain.models.phi3v.configuration import Phi3VConfig
from phitrain.shards import Stored, weight_files


def open_stored(name_or_path: str, skeleton: Any) -> Stored:
    """The tensors of a model folder or hub id, with those that the original code saves twice.

    Raises UsageError naming tensors that are missing, unknown or of another shape, DataError for damaged files.
    """
    stored = Stored(weight_files(model_folder(name_or_path, weights=True)))
    wanted = {name: tuple(tensor.shape) for name, tensor in skeleton.state_dict().items()}
    ignored = "|".join(skeleton._keys_to_ignore_on_load_unexpected)
    found = {name: entry.shape for name, entry in stored.entries.items() if not re.search(ignored, name)}
    misshapen = [name for name in wanted.keys() & found.keys() if wanted[name] != found[name]]
    refuse_misfit(name_or_path, wanted.keys() - found.keys(), found.keys() - wanted.keys(), misshapen)
    return stored


def save_config(name_or_path: str, folder: Path, dtype: torch.dtype) -> None:
    """Write config.json with the published keys, and generation_config.json, for weights of type `dtype`."""
    source = model_folder(name_or_path)
    config: Any = Phi3VConfig.from_pretrained(source)
    config.architectures = ["Phi3VForCausalLM"]
    config.dtype = dtype
    config.save_pretrained(folder)
    if (source / "generation_config.json").is_file():  # Phi-3-vision has none
        generation = GenerationConfig.from_pretrained(source)
    else:
        generation = GenerationConfig.from_model_config(config)
    stop_at_turn_end(SimpleNamespace(config=config, generation_config=generation))
    generation.save_pretrained(folder)
