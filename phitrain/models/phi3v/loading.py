"""A model in memory as it will be trained: its type, in 4 bits or not, whole or in shares, tensor by tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig

from phitrain.models.filling import Spread, fill, on_first_rank, quantise
from phitrain.models.hub import lasting_name, model_folder
from phitrain.models.phi3v.checking import stop_at_turn_end
from phitrain.models.phi3v.configuration import Phi3VConfig
from phitrain.models.phi3v.modeling import Phi3VForCausalLM
from phitrain.models.phi3v.stored import open_stored
from phitrain.shards import Stored

if TYPE_CHECKING:
    from phitrain.models.adapter import Loading


def load_model(name_or_path: str, loading: Loading) -> Phi3VForCausalLM:
    """The model of a folder or hub id, in evaluation mode; parameters that never run do not require a gradient.

    Beside the model, host memory holds one tensor at a time. With `partition` every rank calls it: the first reads,
    and each keeps its share. In 4 bits each rank reads, for the numbers that a layer is unpacked by stay whole.
    Raises UsageError naming every missing, unknown or misshapen tensor, DataError for files that are damaged.
    """
    folder = model_folder(name_or_path)
    model = build_empty(folder, loading)
    model.config.name_or_path = model.name_or_path = lasting_name(name_or_path)[0]
    if loading.partition is None or loading.four_bit:
        stored: Stored | None = open_stored(name_or_path, model)
    else:
        stored = on_first_rank(lambda: open_stored(name_or_path, model))
    spread = None if loading.partition is None else Spread(loading.partition, loading.dtype)
    fill(model, stored, loading.dtype, loading.device, spread)
    model.fill_buffers(loading.device)
    model.eval()
    return model


def build_empty(folder: Path, loading: Loading) -> Phi3VForCausalLM:
    """The model on the meta device: every name, shape and type, and no memory; nothing is initialised."""
    config = Phi3VConfig.from_pretrained(folder)
    options = {"dtype": loading.dtype, "attn_implementation": loading.attention}
    with torch.device("meta"):
        model: Phi3VForCausalLM = Phi3VForCausalLM._from_config(config, **options)
    unused = set(model.unused_parameter_names())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in unused)
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    stop_at_turn_end(model)
    if loading.four_bit:
        quantise(model, loading.dtype)
    return model
