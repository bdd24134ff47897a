"""What a run hands back: a model folder that the original code and vLLM open, or adapters that peft opens."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phidata.errors import UsageError
from phitrain.lora import CONFIG, STEM, lora_shapes, saved_name
from phitrain.output import fresh_folder, fsync, make_durable
from phitrain.shards import SHARD_BYTES, entries_of, write_shards

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from phitrain.models.adapter import Adapter
    from phitrain.quantisation import Quantisation

Weights = Iterable[tuple[str, "Tensor"]]

STAGING = ".saving"
LAST = ("config.json", CONFIG)  # without them no loader takes the folder for a model, or for adapters
WEIGHTS = "*.safetensors*"


def save_model(adapter: Adapter, module: nn.Module, folder: Path) -> None:
    """`save_weights` of a module that is whole in memory, in its own type."""
    dtype = next(module.parameters()).dtype
    save_weights(adapter, module.state_dict().items(), folder, dtype=dtype)


def save_weights(
    adapter: Adapter, weights: Weights, folder: Path, *, dtype: torch.dtype, max_shard_bytes: int = SHARD_BYTES
) -> None:
    """Write a model into `folder`: weights, configuration, tokenizer and processor files; config.json comes last.

    `weights` gives every tensor of the checkpoint once, whole, in any order; one at a time is in memory. It is taken
    to its end even where writing fails, so that processes which gather along are not left waiting. Raises DataError
    where the disk does not take it, and for values that do not fit `dtype`.
    """
    with _to_the_end(weights) as tensors, _replacing(folder) as staging:
        write_shards(staging, entries_of(model_shapes(adapter), dtype), tensors, max_bytes=max_shard_bytes)
        adapter.save_config(staging, dtype)
        adapter.preprocessor.save(staging)


def save_lora(
    adapter: Adapter,
    config: Any,
    weights: Weights,
    folder: Path,
    *,
    dtype: torch.dtype,
    quantisation: Quantisation | None = None,
) -> None:
    """Write LoRA adapters into `folder` as peft does, with tokenizer and processor files; adapter_config.json last.

    `config` is peft's LoraConfig; the base model is written as the adapter's model was named. `weights` gives the
    adapters' parameters by the names that they have in the peft model, and is taken as in `save_weights`.
    `quantisation` tells `phitrain merge` how the base model was held. The base model's own lm_head, which peft adds to
    its file where that layer is a target, is left out.
    """
    with _to_the_end(weights) as tensors, _replacing(folder) as staging:
        entries = entries_of(lora_shapes(adapter, config), dtype)
        write_shards(staging, entries, map(_renamed, tensors), stem=STEM)
        if quantisation is not None:
            quantisation.save(staging)
        written = copy.deepcopy(config)
        written.target_modules = sorted(written.target_modules)  # a set, in an order of its own in each process
        written.base_model_name_or_path, written.revision = adapter.name_or_path, adapter.revision
        written.inference_mode = True
        written.save_pretrained(staging)
        adapter.preprocessor.save(staging)


def model_shapes(adapter: Adapter) -> dict[str, tuple[int, ...]]:
    """Every tensor of the checkpoint with its shape, in the model's order."""
    return {name: tuple(tensor.shape) for name, tensor in adapter.skeleton().state_dict().items()}


def check_new(target: Path) -> None:
    """Raise UsageError where something lies there."""
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise UsageError(f"{target} exists and is not an empty folder; give another name")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `target` when all went well. Raises UsageError where something lies there."""
    check_new(target)
    with fresh_folder(target.with_name(f".{target.name}.making")) as staging:
        yield staging
        make_durable(staging)
        staging.rename(target)
    fsync(target.parent)


def _renamed(item: tuple[str, Tensor]) -> tuple[str, Tensor]:
    return saved_name(item[0]), item[1]


@contextmanager
def _to_the_end(weights: Weights) -> Iterator[Iterator[tuple[str, Tensor]]]:
    tensors = iter(weights)
    try:
        yield tensors
    except Exception:
        deque(tensors, maxlen=0)
        raise


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A folder to fill, whose files then come to lie in `folder`, in place of the weights that were there."""
    with fresh_folder(folder / STAGING) as staging:
        yield staging
        make_durable(staging)
        files = sorted(staging.iterdir(), key=lambda file: (file.name in LAST, file.name))
        kept = {file.name for file in files}
        stale = [folder / name for name in LAST] + [old for old in folder.glob(WEIGHTS) if old.name not in kept]
        for file in stale:
            file.unlink(missing_ok=True)
        for file in files:
            file.replace(folder / file.name)
    fsync(folder)
