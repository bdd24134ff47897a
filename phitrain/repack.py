"""A model folder, or a checkpoint of a run, as a folder to hand on: of another type, in shards of another size."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from phidata.errors import DataError, UsageError
from phitrain.card import CARD, read_run, write_card
from phitrain.checkpoint import MARK, STATE, Checkpoint, read_checkpoint
from phitrain.config import Config, config_from
from phitrain.export import check_new, model_shapes, new_folder, save_lora, save_weights
from phitrain.lora import CONFIG as LORA_CONFIG
from phitrain.merge import num_crops_of, with_bar
from phitrain.models.adapter import Adapter, open_adapter
from phitrain.output import check_space
from phitrain.quantisation import quantisation_by_rule
from phitrain.shards import SHARD_BYTES, Stored, entries_of, weight_files
from phitrain.state import MASTER
from phitrain.strategy import lora_config

if TYPE_CHECKING:
    from torch import Tensor

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: a model or adapters, of which type (bfloat16, …), in how many tensors."""

    kind: str
    dtype: str
    num_tensors: int


def export(
    folder: str | Path,
    out: str | Path,
    *,
    dtype: torch.dtype | None = None,
    max_shard_bytes: int = SHARD_BYTES,
) -> Exported:
    """Write what a folder holds to `out`, tensor by tensor: no model is ever whole in memory.

    A model folder becomes another one. A `checkpoint-<step>` of a full or frozen-vision run becomes a model, one of a
    lora or qlora run an adapter folder; what was frozen is read from the model that the run started from. `dtype` is
    by default that of the model folder, or the run's precision. Raises UsageError for what is neither and where
    something lies at `out`, DataError for a checkpoint that is not whole.
    """
    check_new(Path(out))
    source = Path(folder)
    if (source / LORA_CONFIG).is_file():
        raise UsageError(f"{source} holds adapters, which are exported already; `phitrain merge` makes a model of them")
    if (source / MARK).is_file() or source.name.startswith("checkpoint-"):
        return _export_checkpoint(read_checkpoint(source), Path(out), dtype, max_shard_bytes)
    adapter = open_adapter(str(folder))
    stored = adapter.open_weights()
    kind = dtype or stored.entries[next(iter(model_shapes(adapter)))].dtype
    with new_folder(Path(out)) as staging:
        written = _write_model(adapter, stored, None, staging, kind, max_shard_bytes)
        if (source / CARD).is_file():
            shutil.copyfile(source / CARD, staging / CARD)
    return written


def _export_checkpoint(checkpoint: Checkpoint, out: Path, dtype: torch.dtype | None, max_shard_bytes: int) -> Exported:
    config = config_from(checkpoint.facts["config"])
    kind = dtype or PRECISIONS[config.model.precision]
    run_folder = checkpoint.folder.parent
    adapter = open_adapter(config.model.name_or_path, config.model.num_crops or num_crops_of(run_folder))
    if adapter.fingerprint() != checkpoint.facts["model"]:
        raise DataError(
            f"{adapter.name_or_path} is not the model that the run of {checkpoint.folder} started from; "
            "put that one there"
        )
    trained = Stored(weight_files(checkpoint.folder, STATE))
    run = read_run(run_folder, checkpoint.step)
    with new_folder(out) as staging:
        if config.strategy.kind in ("lora", "qlora"):
            written = _write_adapters(adapter, trained, config, staging, kind)
        else:
            written = _write_model(adapter, adapter.open_weights(), trained, staging, kind, max_shard_bytes)
        summary, evaluations = ({"steps": checkpoint.step}, {}) if run is None else (run.summary, run.evaluations)
        write_card(staging, config.as_dict(), summary, evaluations, title=out.name)
    return written


def _write_model(
    adapter: Adapter, stored: Stored, trained: Stored | None, folder: Path, dtype: torch.dtype, max_shard_bytes: int
) -> Exported:
    """The model of `stored`, with the master weights of a checkpoint in place of those that were trained."""
    shapes = model_shapes(adapter)
    check_space(folder, sum(entry.num_bytes for entry in entries_of(shapes, dtype)))
    tensors = ((name, _newest(name, stored, trained)) for name in with_bar(shapes))
    save_weights(adapter, tensors, folder, dtype=dtype, max_shard_bytes=max_shard_bytes)
    return Exported(kind="model", dtype=_name(dtype), num_tensors=len(shapes))


def _newest(name: str, stored: Stored, trained: Stored | None) -> Tensor:
    key = f"{MASTER}/{name}"
    return trained.read(key) if trained is not None and key in trained.entries else stored.read(name)


def _write_adapters(adapter: Adapter, trained: Stored, config: Config, folder: Path, dtype: torch.dtype) -> Exported:
    names = [key.removeprefix(f"{MASTER}/") for key in trained.entries if key.startswith(f"{MASTER}/")]
    quantisation = None
    if config.strategy.kind == "qlora":
        quantisation = quantisation_by_rule(adapter, PRECISIONS[config.model.precision])
    save_lora(
        adapter,
        lora_config(config.strategy, adapter),
        ((name, trained.read(f"{MASTER}/{name}")) for name in names),
        folder,
        dtype=dtype,
        quantisation=quantisation,
    )
    return Exported(kind="adapters", dtype=_name(dtype), num_tensors=len(names))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
