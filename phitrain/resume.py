"""Where a run begins: in an empty folder, after a checkpoint, or not at all because it is finished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from phidata.errors import UsageError
from phitrain.card import SUMMARY
from phitrain.checkpoint import (
    LATEST,
    Checkpoint,
    Identity,
    changed_fields,
    drop_later,
    find_checkpoint,
    refuse_changed,
    refuse_other_tensors,
)
from phitrain.config import Config
from phitrain.export import LAST
from phitrain.output import RUN_CONFIG


def finished_summary(output: Path, config: Config) -> dict[str, Any] | None:
    """The summary of the finished run that a folder holds; None where there is none, or where it is to be replaced.

    Raises UsageError for a finished run of another configuration, and where one would have to be replaced to go on
    from a checkpoint and the configuration does not say that it may.
    """
    if not (output / SUMMARY).is_file():
        return None
    if config.train.resume_from_checkpoint != LATEST:
        if not config.train.overwrite_output_dir:
            raise UsageError(
                f"{output} holds a finished run; name another --output_dir, or --overwrite_output_dir to replace its "
                "model by what comes after the checkpoint"
            )
        return None
    if found := changed_fields(json.loads((output / RUN_CONFIG).read_text("utf-8")), config):
        raise UsageError(f"{output} holds a finished run in which {'; '.join(found)}; name another --output_dir")
    summary: dict[str, Any] = json.loads((output / SUMMARY).read_text("utf-8"))
    return summary


def find_start(output: Path, identity: Identity, total: int) -> tuple[Checkpoint | None, list[str]]:
    """The checkpoint that a run of `total` steps goes on from, None for the first step, and sentences about it.

    Raises UsageError where the run or its length is another, DataError where no checkpoint is whole.
    """
    train = identity.config.train
    assert train.resume_from_checkpoint is not None
    checkpoint, passed_over = find_checkpoint(output, train.resume_from_checkpoint)
    if checkpoint is None:
        return None, [f"{output} has no checkpoint: starting anew"]
    if not train.allow_changed:
        refuse_changed(checkpoint, identity)
    refuse_other_tensors(checkpoint, identity.config)
    if checkpoint.step >= total:
        raise UsageError(
            f"{checkpoint.folder} is of step {checkpoint.step} and the run has {total} steps; give an earlier "
            "checkpoint, or more --max_steps or --num_train_epochs"
        )
    return checkpoint, [*passed_over, f"going on from {checkpoint.folder}"]


def rewind(output: Path, step: int) -> list[str]:
    """Bring a run's folder to where it was after a step, its log and TensorBoard apart; says what is removed.

    Nothing may stay that would be taken for the newest state of the run, or for its result.
    """
    (output / SUMMARY).unlink(missing_ok=True)
    for name in LAST:
        (output / name).unlink(missing_ok=True)
    for file in output.glob("eval_*.json"):
        if json.loads(file.read_text("utf-8"))["step"] > step:
            file.unlink()
    later = drop_later(output, step)
    names = ", ".join(folder.name for folder in reversed(later))
    return [f"removed {names}: the run comes there again"] if later else []
