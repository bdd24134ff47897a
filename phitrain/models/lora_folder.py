"""Folders that hold LoRA adapters: which model they belong to, and putting them on it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from phidata.errors import DataError, UsageError
from phitrain.models.hub import is_local, read_object

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def is_lora_folder(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def base_model(folder: Path) -> str:
    """The folder or hub id (with its revision) of the model that the adapters were trained on.

    Raises UsageError where the folder does not say, or names a folder that is not there.
    """
    config = read_object(folder / CONFIG)
    if config.get("peft_type") != "LORA":
        raise UsageError(f"{folder} holds adapters of type {config.get('peft_type')!r}; only 'LORA' can be opened")
    if config.get("megatron_config"):
        raise UsageError(f"{folder / CONFIG} names a module to import as megatron_core; remove megatron_config from it")
    base, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(base, str) or not base:
        raise UsageError(f"the adapters in {folder} do not say which model they belong to; {_remedy(folder)}")
    if is_local(base) and not Path(base).is_dir():
        raise UsageError(
            f"the adapters in {folder} belong to the model {base}, and there is no such folder; {_remedy(folder)}"
        )
    return f"{base}@{revision}" if revision and not is_local(base) else base


def check_adapters(folder: Path) -> None:
    """Raise UsageError where a folder lacks the adapters' weights, or `base_model` would."""
    base_model(folder)
    if not (folder / WEIGHTS).is_file():
        raise UsageError(f"{folder} holds {CONFIG} but no {WEIGHTS}; copy it there")


def with_adapters(module: nn.Module, folder: Path, device: torch.device) -> nn.Module:
    """The module inside a peft model with a folder's adapters, in the type of its weights; nothing is trainable.

    Raises UsageError where the adapters do not fit the module and DataError where their file is damaged.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            # peft itself also writes the weight of an lm_head that is a target.
            found = {name for name in file.keys() if ".base_layer." not in name}  # noqa: SIM118 - not a dict
        with warnings.catch_warnings():
            # peft asks transformers for a name that it has renamed; the reader of a run can not change that.
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
            model: nn.Module = PeftModel.from_pretrained(
                module, str(folder), autocast_adapter_dtype=False, torch_device=str(device)
            )
    except (SafetensorError, OSError) as error:
        raise DataError(f"{folder / WEIGHTS} can not be read ({error}); copy it there again") from error
    except (RuntimeError, ValueError) as error:  # what peft and torch say to layers that are not there or misshapen
        said = " ".join(str(error).split())[:300].rstrip(".")
        raise UsageError(f"the adapters in {folder} do not fit their model: {said}; {_remedy(folder)}") from error
    wrong = sorted(found ^ set(get_peft_model_state_dict(model, save_embedding_layers=False)))
    if wrong:
        raise UsageError(
            f"the adapters in {folder} and its {CONFIG} differ in {len(wrong)} tensors: {', '.join(wrong[:4])}; "
            "copy both files there again"
        )
    return model.eval()


def _remedy(folder: Path) -> str:
    return f"write its path or hub id as base_model_name_or_path into {folder / CONFIG}"
