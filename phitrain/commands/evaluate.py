"""`phitrain eval`: answers generated for every turn of a split, and scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from phidata.errors import UsageError
from phitrain.commands.options import check_places, flag, form, names_of
from phitrain.config import HISTORIES, Values, config_from
from phitrain.output import QUANTISATION, check_new_file


@click.command("eval")
@click.argument("model")
@click.option("--data_dir", required=True, help="data folder, as `phidata convert` writes it")
@click.option("--split", required=True, help="one split, or several with commas")
@click.option("--metric", default="accuracy", show_default=True, help="accuracy, anls, anls-official, exact-any")
@click.option("--history", type=click.Choice(HISTORIES), default="reference", show_default=True, help="earlier answers")
@click.option("--batch_size", "--eval_batch_size", type=click.IntRange(1), default=4, show_default=True)
@click.option("--max_new_tokens", type=click.IntRange(1), default=64, show_default=True)
@flag("--num_crops", type=int, help="the most local crops of an image [default: the model folder's]")
@click.option("--precision", default="auto", show_default=True)
@click.option("--attention", default="auto", show_default=True)
@click.option("--four_bit/--no_four_bit", default=None, help="linear layers as NF4 [default: as adapters were trained]")
@click.option("--zero", type=click.Choice(["0", "3"]), default="0", show_default=True, help="3 divides the model")
@click.option("--num_workers", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--samples", type=click.IntRange(0), default=0, show_default=True, help="answers to show, wrong ones first"
)
@click.option("--output", type=click.Path(path_type=Path), help="also write the evaluation to this JSON file")
@form()
def evaluate(model: str, samples: int, output: Path | None, form: str, **options: Any) -> None:
    """Generate an answer to every turn of a split with MODEL and score them.

    MODEL is a model folder, a hub id, or a folder of adapters that names its base model.
    """
    if options["four_bit"] is None:
        options["four_bit"] = (Path(model) / QUANTISATION).is_file()
    config = config_from(_given(model, options))
    check_places(config)
    if not config.eval.splits:
        raise UsageError("--split names no split; give one of the data folder's, or several with commas")
    if output is not None:
        check_new_file("--output", output)
    from phitrain.engine import close_world, open_world
    from phitrain.evaluate import sample_lines, score_lines
    from phitrain.output import write_json
    from phitrain.trainer import evaluate_model

    world = open_world()
    document = evaluate_model(config, world)
    close_world()
    if not world.is_main:
        return
    if output is not None:
        write_json(output, document)
    lines = [*score_lines(document), *(["", *sample_lines(document, samples)] if samples else [])]
    click.echo(json.dumps(document, ensure_ascii=False) if form == "json" else "\n".join(lines))


def _given(model: str, options: dict[str, Any]) -> Values:
    return {
        "model": {"name_or_path": model, **{name: options[name] for name in ("num_crops", "precision", "attention")}},
        "strategy": {"kind": "qlora" if options["four_bit"] else "full"},
        "data": {"dir": options["data_dir"], "num_workers": options["num_workers"]},
        "train": {"zero": int(options["zero"])},
        "eval": {
            "splits": names_of(options["split"]),
            "metrics": names_of(options["metric"]),
            **{name: options[name] for name in ("history", "batch_size", "max_new_tokens")},
        },
    }
