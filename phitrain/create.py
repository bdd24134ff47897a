"""Model folders with random weights in the published layout: what demos and tests train, without a download."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from phidata.errors import UsageError
from phitrain.models.phi3v.configuration import Phi3VConfig
from phitrain.models.phi3v.modeling import Phi3VForCausalLM
from phitrain.models.phi3v.processing import write_processor_files, write_tokenizer_files
from phitrain.output import fresh_folder, make_durable

# Changes to Phi-3.5-vision's configuration; every size keeps its vocabulary, crops of 336 pixels and RoPE switch.
SIZES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "initializer_range": 0.05,
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "projection_dim": 32,
        },
    },
    "small": {
        "hidden_size": 512,
        "intermediate_size": 1408,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "vision_config": {
            "hidden_size": 256,
            "intermediate_size": 1024,
            "num_hidden_layers": 8,
            "num_attention_heads": 4,
            "projection_dim": 256,
        },
    },
    "full": {},
}
NUM_CROPS = 4  # Phi-3.5-vision's
SHARD_SIZE = "5GB"  # as published: the full size is two shards


def model_config(size: str = "full") -> Phi3VConfig:
    """Phi-3.5-vision's configuration, whole or in a smaller size with every n-th of its RoPE factors."""
    if size not in SIZES:
        raise UsageError(f"no model size {size!r}; there is {', '.join(SIZES)}")
    text = (files("phitrain.models.phi3v") / "phi35_vision.json").read_text("utf-8")
    values = json.loads(text) | SIZES[size]
    if values["hidden_size"] % values["num_attention_heads"]:
        raise UsageError(f"model size {size!r}: hidden_size is not a multiple of num_attention_heads")
    half_head = values["hidden_size"] // values["num_attention_heads"] // 2
    for name in ("short_factor", "long_factor"):
        published = values["rope_scaling"][name]
        values["rope_scaling"][name] = [published[at * len(published) // half_head] for at in range(half_head)]
    if vision := values.get("vision_config"):
        values["img_processor"]["image_dim_out"] = vision["hidden_size"]
    config: Phi3VConfig = Phi3VConfig.from_dict(values)
    return config


def create_model_folder(
    folder: str | Path, size: str = "tiny", *, seed: int = 0, num_crops: int = NUM_CROPS
) -> Phi3VForCausalLM:
    """Write weights (float32, the full size bfloat16), configuration, tokenizer and processor files; return the model.

    Same size, seed and library versions, same weights. The folder appears whole or not at all; raises UsageError when
    something lies there already.
    """
    target = Path(folder)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder; give another name")
    config = model_config(size)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        dtype = torch.bfloat16 if size == "full" else torch.float32
        model: Phi3VForCausalLM = Phi3VForCausalLM._from_config(config, dtype=dtype)
    logging.disable_progress_bar()
    with fresh_folder(target.with_name(f".{target.name}.making")) as staging:
        model.save_pretrained(staging, max_shard_size=SHARD_SIZE)
        write_tokenizer_files(staging, None)
        write_processor_files(staging, num_crops)
        make_durable(staging)
        staging.rename(target)
    return model
