"""What a checkpoint must be to fit the model, whoever loads it: the library would fill gaps at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from phidata.errors import DataError, UsageError
from phitrain.models.phi3v.configuration import STOP_TOKEN_IDS, VOCAB_SIZE
from phitrain.shards import Stored, weight_files


def load_checked(load: Callable[..., Any], folder: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the library's `from_pretrained`; raise UsageError naming every missing, unknown or misshapen tensor.
    Raises DataError for files that are damaged.

    The model comes back in evaluation mode and stops generating at the ends of turn and text, whatever the
    folder's generation configuration says.
    """
    wants_info = kwargs.pop("output_loading_info", False)
    if folder is not None and Path(folder).is_dir():
        if not (Path(folder) / "config.json").is_file():
            raise UsageError(f"{folder} is not a model folder: it has no config.json; make one with `phitrain init`")
        Stored(weight_files(Path(folder)))
    try:
        model, info = load(folder, *args, output_loading_info=True, **kwargs)
    except SafetensorError as error:
        raise DataError(f"the weights of {folder} can not be read ({error}); copy them there again") from error
    refuse_misfit(
        folder, info["missing_keys"], info["unexpected_keys"], [entry[0] for entry in info["mismatched_keys"]]
    )
    stop_at_turn_end(model)
    return (model, info) if wants_info else model


def refuse_misfit(folder: Any, missing: Iterable[str], unknown: Iterable[str], misshapen: Iterable[str]) -> None:
    """Raise UsageError naming the tensors, where there are any."""
    _refuse(folder, "lacks", sorted(missing))
    _refuse(folder, "has, and the model does not know,", sorted(unknown))
    _refuse(folder, "has in another shape", sorted(misshapen))


def stop_at_turn_end(model: Any) -> None:
    """Let generation stop at the ends of turn and text, whatever the folder's generation configuration says."""
    if model.config.vocab_size != VOCAB_SIZE:
        return
    generation = model.generation_config
    given = generation.eos_token_id
    listed = given if isinstance(given, list) else [] if given is None else [given]
    generation.eos_token_id = list(dict.fromkeys([*STOP_TOKEN_IDS, *listed]))
    if generation.pad_token_id is None:
        generation.pad_token_id = STOP_TOKEN_IDS[0]


def _refuse(folder: Any, what: str, names: list[str]) -> None:
    if names:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise UsageError(
            f"the checkpoint {folder} {what} {len(names)} tensors: {shown}; "
            "the folder must be complete and fit its config.json"
        )
