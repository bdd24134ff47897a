"""Adapters into their base model, tensor by tensor: no model is ever whole in memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from phidata.console import progress
from phidata.errors import DataError, UsageError
from phitrain.card import read_run, write_card
from phitrain.export import check_new, model_shapes, new_folder, save_weights
from phitrain.lora import LoraFolder
from phitrain.models.adapter import open_adapter
from phitrain.output import check_space
from phitrain.quantisation import Quantisation, quantisation_by_rule, read_quantisation
from phitrain.shards import SHARD_BYTES, Stored, entries_of

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge came to: how many layers were changed, the type of the weights (bfloat16, …), whether the base
    weights went through four bits first, and what the user should know."""

    num_layers: int
    dtype: str
    four_bit: bool
    notes: tuple[str, ...]


def merge(
    base: str,
    adapter_folder: str | Path,
    out: str | Path,
    *,
    dtype: torch.dtype | None = None,
    four_bit: bool | None = None,
    max_shard_bytes: int = SHARD_BYTES,
) -> Merged:
    """Write the model that `base`, a folder or hub id, becomes with the LoRA adapters of a folder.

    `dtype` is by default that of the base's weights. Where the adapters were trained on a base in four bits, its
    weights are quantised and dequantised first, as the adapters saw them; `four_bit` overrides what the folder
    records. Deltas are computed in float32. The folder of a run gives the facts for the model's card. Raises UsageError
    where something lies at `out`, and for adapters of another kind or for another model; DataError for damaged files.
    """
    check_new(Path(out))
    lora = LoraFolder(Path(adapter_folder))
    adapter = open_adapter(base, num_crops_of(lora.folder))
    weights, shapes = adapter.open_weights(), model_shapes(adapter)
    kind = dtype or weights.entries[next(iter(shapes))].dtype
    seen = read_quantisation(lora.folder)
    if four_bit is not None:
        seen = (seen or quantisation_by_rule(adapter, kind)) if four_bit else None
    check_targets(lora, shapes, base)
    run = read_run(lora.folder)
    with new_folder(Path(out)) as staging:
        check_space(staging, sum(entry.num_bytes for entry in entries_of(shapes, kind)))
        tensors = ((name, merged_tensor(name, weights, lora, seen)) for name in with_bar(shapes))
        save_weights(adapter, tensors, staging, dtype=kind, max_shard_bytes=max_shard_bytes)
        if run is not None:
            write_card(staging, run.config, run.summary, run.evaluations, title=Path(out).name, merged=True)
    notes = () if lora.base in ("", adapter.name_or_path) else (f"the adapters were trained on {lora.base}",)
    name = str(kind).removeprefix("torch.")
    return Merged(num_layers=len(lora.modules), dtype=name, four_bit=seen is not None, notes=notes)


def merged_tensor(name: str, weights: Stored, lora: LoraFolder, seen: Quantisation | None) -> Tensor:
    """One tensor of the merged model, in float32 where it was changed."""
    module = name.removesuffix(".weight")
    delta = lora.delta(module) if name.endswith(".weight") else None
    own = lora.own_base_weight(module) if delta is not None else None
    weight = weights.read(name) if own is None else own
    weight = weight if seen is None else seen.restored(name, weight)
    return weight if delta is None else delta.added_to(weight)


def with_bar(names: Collection[str]) -> Iterator[str]:
    """The names of tensors to write, with a progress bar for the person who waits."""
    with progress(len(names), "write", "tensor") as bar:
        for name in names:
            yield name
            bar.update()


def check_targets(lora: LoraFolder, shapes: dict[str, tuple[int, ...]], base: str) -> None:
    """Raise UsageError where the base has no such layer, or one of another size."""
    for module, (outputs, inputs) in lora.modules.items():
        found = shapes.get(f"{module}.weight")
        if found != (outputs, inputs):
            what = "no such layer" if found is None else f"{found[0]} x {found[1]}"
            raise UsageError(
                f"{lora.folder} has an adapter for {module} of {outputs} x {inputs}, {base} has {what} there; give "
                f"the model that the adapters were trained on ({lora.base or 'the folder does not say which'})"
            )


def num_crops_of(folder: Path) -> int | None:
    """The most crops of an image that a folder's preprocessor asks for; None where it does not say."""
    path = folder / "preprocessor_config.json"
    try:
        return int(json.loads(path.read_text("utf-8"))["num_crops"]) if path.is_file() else None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not say num_crops ({error}); copy it there again") from error
