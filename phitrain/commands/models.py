"""`phitrain init`, `merge` and `export`: model folders made, joined and handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from phidata.errors import UsageError
from phitrain.commands.options import Decorator
from phitrain.models.lora_folder import is_lora_folder

PRECISIONS = click.Choice(["bf16", "fp16", "fp32"])


def shape_of_weights() -> Decorator:
    """The options of what is written: its type, and the size of its files."""

    def decorate(command: Any) -> Any:
        size = click.option("--max_shard_size", default="5GB", show_default=True, help="of one file of weights")
        return click.option("--dtype", type=PRECISIONS, help="of the weights [default: as they are]")(size(command))

    return decorate


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--size", type=click.Choice(["tiny", "small", "full"]), default="tiny", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--num_crops", type=click.IntRange(1), help="the most local crops of an image that the folder asks for")
def init(folder: Path, size: str, seed: int, num_crops: int | None) -> None:
    """Make a model FOLDER with random weights in the published layout."""
    from phitrain.create import create_model_folder
    from phitrain.engine import import_deepspeed

    import_deepspeed()  # making a model imports it anyway, with words of its own
    options = {} if num_crops is None else {"num_crops": num_crops}
    create_model_folder(folder, size=size, seed=seed, **options)
    click.echo(folder)


@click.command()
@click.argument("base")
@click.argument("adapter", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--four_bit/--no_four_bit", default=None, help="take BASE through four bits first [default: as trained]")
@shape_of_weights()
def merge(base: str, adapter: Path, out: Path, four_bit: bool | None, dtype: str | None, max_shard_size: str) -> None:
    """Write to OUT the model that BASE, a folder or hub id, becomes with the adapters of a folder."""
    from phitrain.engine import import_deepspeed
    from phitrain.merge import merge as merge_adapters
    from phitrain.report import note
    from phitrain.shards import size_of
    from phitrain.trainer import DTYPES

    if is_lora_folder(Path(base)):
        raise UsageError(f"{base} holds adapters; give the model that they were trained on as BASE")
    import_deepspeed()
    size = size_of(max_shard_size)
    merged = merge_adapters(
        base, adapter, out, dtype=None if dtype is None else DTYPES[dtype], four_bit=four_bit, max_shard_bytes=size
    )
    for sentence in merged.notes:
        note(sentence)
    through = ", base through four bits" if merged.four_bit else ""
    click.echo(f"{out}: {merged.num_layers} layers merged, {merged.dtype}{through}")


@click.command()
@click.argument("folder")
@click.argument("out", type=click.Path(path_type=Path))
@shape_of_weights()
def export(folder: str, out: Path, dtype: str | None, max_shard_size: str) -> None:
    """Write to OUT the model, or the adapters, that FOLDER holds: a model folder, or a checkpoint-<step> of a run."""
    from phitrain.engine import import_deepspeed
    from phitrain.repack import export as export_folder
    from phitrain.shards import size_of
    from phitrain.trainer import DTYPES

    import_deepspeed()
    size = size_of(max_shard_size)
    done = export_folder(folder, out, dtype=None if dtype is None else DTYPES[dtype], max_shard_bytes=size)
    click.echo(f"{out}: {done.kind} of {done.num_tensors} tensors in {done.dtype}")
