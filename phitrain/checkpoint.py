"""The folder a run writes: opened once, filled so that nothing unfinished looks whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phidata.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from phitrain.models.adapter import Adapter

RUN_CONFIG = "train_config.json"
STAGING = ".saving"
LAST = "config.json"  # without it no loader takes the folder for a model


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError when something lies there that a run is not to replace. Changes nothing."""
    if path.is_file():
        raise UsageError(f"--output_dir {path} is a file; give the name of a folder")
    if path.is_dir() and any(path.iterdir()):
        if not overwrite:
            raise UsageError(f"--output_dir {path} is not empty; give another, or --overwrite_output_dir to replace it")
        if not (path / RUN_CONFIG).is_file():
            raise UsageError(
                f"--output_dir {path} holds files but no {RUN_CONFIG}: it was not written by `phitrain train` and is "
                "not overwritten; give another folder"
            )


def open_output(path: Path, *, overwrite: bool) -> None:
    """Make the folder of a run, empty. Raises UsageError as `check_output` does."""
    check_output(path, overwrite=overwrite)
    if path.is_dir():
        for entry in path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    path.mkdir(parents=True, exist_ok=True)


def save_model(adapter: Adapter, module: nn.Module, folder: Path) -> None:
    """Write weights, configuration, tokenizer and processor files into `folder`; the model's config.json comes last."""
    staging = folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    adapter.save(module, staging)
    adapter.preprocessor.save(staging)
    make_durable(staging)
    for file in sorted(staging.iterdir(), key=lambda file: (file.name == LAST, file.name)):
        file.replace(folder / file.name)
    staging.rmdir()
    _fsync(folder)


def make_durable(folder: Path) -> None:
    """Bring the files of a folder to disk, readable by whom the umask says: the weights' writer hides them."""
    for file in folder.iterdir():
        file.chmod(0o666 & ~_umask())
        _fsync(file)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON file whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
