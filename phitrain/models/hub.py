"""Where the files of a model lie: in a folder of this machine, or in the hub's cache, where they are brought."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from phidata.errors import UsageError

SMALL_FILES = ["*.json", "*.jinja"]
ALL_FILES = [*SMALL_FILES, "*.safetensors"]


def model_folder(name_or_path: str, *, weights: bool = False) -> Path:
    """The folder with a model's small files, or with all of them.

    A hub id (`owner/name`, or `owner/name@revision` with a branch, tag or commit) is looked up in the cache below
    HF_HOME and fetched as far as it is not there. Raises UsageError where there is no such folder or model, or
    HF_HUB_OFFLINE forbids to fetch what is missing.
    """
    if not name_or_path:
        raise UsageError("no model was named; give --model_name_or_path a folder or a hub id")
    if not is_local(name_or_path):
        return _from_hub(name_or_path, weights=weights)
    path = Path(name_or_path).expanduser()
    if not path.exists():
        raise UsageError(f"no model folder {path}; make one with `phitrain init {path}` or give a hub id")
    return path


def is_local(name_or_path: str) -> bool:
    """Whether a folder is meant, not a model on the hub."""
    return Path(name_or_path).exists() or name_or_path.startswith((".", "/", "~")) or name_or_path.count("/") != 1


def lasting_name(name_or_path: str) -> tuple[str, str | None]:
    """What another process finds the model by, and its revision: the absolute path of a folder, or the hub id."""
    if is_local(name_or_path):
        return str(Path(name_or_path).expanduser().resolve()), None
    repository, at, revision = name_or_path.partition("@")
    return repository, revision if at else None


def read_object(file: Path) -> dict[str, Any]:
    """The object of a JSON file; raises UsageError where it holds something else."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} must hold a JSON object")
    return found


def _from_hub(name: str, *, weights: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, revision = lasting_name(name)
    try:
        found = snapshot_download(repository, revision=revision, allow_patterns=ALL_FILES if weights else SMALL_FILES)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise _not_to_be_had(name, error) from error
    if weights:
        _refuse_parts(name, Path(found))
    return Path(found)


def _refuse_parts(name: str, folder: Path) -> None:
    """Refuse a cache that holds a model's small files and not all of its weights."""
    from phitrain.shards import weight_files

    stem = "adapter_model" if (folder / "adapter_config.json").is_file() else "model"
    try:
        weight_files(folder, stem)
    except UsageError as error:
        raise UsageError(
            f"the hub's cache does not hold {name} whole ({str(error).partition(';')[0]}); {_fetch(name)}, or give "
            "the path of a model folder"
        ) from error


def _not_to_be_had(name: str, error: Exception) -> UsageError:
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        return UsageError(
            f"{name} is neither a folder here nor in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it; "
            f"{_fetch(name)}, or give the path of a model folder"
        )
    reason = str(error).strip().splitlines()[0]
    return UsageError(
        f"{name} is neither a folder here nor a model that the hub gives ({reason}); "
        "make a model folder with `phitrain init DIR`, or give the path of one"
    )


def _fetch(name: str) -> str:
    repository, revision = lasting_name(name)
    command = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
    return f"fetch it once without HF_HUB_OFFLINE (`{command}`)"
