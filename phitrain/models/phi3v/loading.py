"""Loading weights so that a folder which does not fit the model is refused: the library would fill gaps at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from phidata.errors import DataError, UsageError
from phitrain.models.phi3v.configuration import STOP_TOKEN_IDS, VOCAB_SIZE

WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")


def load_checked(load: Callable[..., Any], folder: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the library's `from_pretrained`; raise UsageError naming every missing, unknown or misshapen tensor.
    Raises DataError for files that are damaged.

    The model comes back in evaluation mode and stops generating at the ends of turn and text, whatever the
    folder's generation configuration says.
    """
    wants_info = kwargs.pop("output_loading_info", False)
    if folder is not None and Path(folder).is_dir():
        _check_files(Path(folder))
    try:
        model, info = load(folder, *args, output_loading_info=True, **kwargs)
    except SafetensorError as error:
        raise DataError(f"the weights of {folder} can not be read ({error}); copy them there again") from error
    _refuse(folder, "lacks", info["missing_keys"])
    _refuse(folder, "has, and the model does not know,", info["unexpected_keys"])
    _refuse(folder, "has in another shape", [str(entry[0]) for entry in info["mismatched_keys"]])
    _stop_at_turn_end(model)
    return (model, info) if wants_info else model


def _check_files(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} is not a model folder: it has no config.json; make one with `phitrain init`")
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise UsageError(
            f"{folder} has no weights: expected {' or '.join(WEIGHT_FILES)}; copy the published files there, or make "
            "a folder with random weights with `phitrain init`"
        )


def _refuse(folder: Any, what: str, names: Any) -> None:
    names = sorted(names)
    if names:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise UsageError(
            f"the checkpoint {folder} {what} {len(names)} tensors: {shown}; "
            "the folder must be complete and fit its config.json"
        )


def _stop_at_turn_end(model: Any) -> None:
    if model.config.vocab_size != VOCAB_SIZE:
        return
    generation = model.generation_config
    given = generation.eos_token_id
    listed = given if isinstance(given, list) else [] if given is None else [given]
    generation.eos_token_id = list(dict.fromkeys([*STOP_TOKEN_IDS, *listed]))
    if generation.pad_token_id is None:
        generation.pad_token_id = STOP_TOKEN_IDS[0]
