"""The `phitrain` command: init, train, eval. Heavy libraries are imported when a command runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

import phidata
from phidata.console import run
from phidata.errors import UsageError
from phidata.loading import open_folder
from phitrain.config import Config, Values, config_from, read_setting
from phitrain.models.adapter import check_model
from phitrain.output import check_output
from phitrain.recipes import read_recipe

NOT_YET = {
    "use_lora": "LoRA is not available yet; leave --use_lora out to train all weights",
    "use_qlora": "QLoRA is not available yet; leave --use_qlora out to train all weights",
    "lora_rank": "LoRA is not available yet; leave --lora_rank out to train all weights",
    "lora_alpha_ratio": "LoRA is not available yet; leave --lora_alpha_ratio out to train all weights",
    "lora_dropout": "LoRA is not available yet; leave --lora_dropout out to train all weights",
    "freeze_vision_model": "freezing the vision model is not available yet; leave --freeze_vision_model out",
}

# flag → section and field; a flag that is not given leaves the recipe's value
FIELDS = {
    "model_name_or_path": ("model", "name_or_path"),
    "precision": ("model", "precision"),
    "attention": ("model", "attention"),
    "num_crops": ("model", "num_crops"),
    "max_length": ("model", "max_length"),
    "gradient_checkpointing": ("model", "gradient_checkpointing"),
    "data_dir": ("data", "dir"),
    "num_workers": ("data", "num_workers"),
    "learning_rate": ("optimizer", "learning_rate"),
    "wd": ("optimizer", "weight_decay"),
    "warmup_steps": ("optimizer", "warmup_steps"),
    "output_dir": ("train", "output_dir"),
    "overwrite_output_dir": ("train", "overwrite_output_dir"),
    "num_train_epochs": ("train", "num_train_epochs"),
    "max_steps": ("train", "max_steps"),
    "batch_size": ("train", "batch_size"),
    "batch_size_per_gpu": ("train", "batch_size_per_gpu"),
    "zero": ("train", "zero"),
    "seed": ("train", "seed"),
    "tqdm": ("train", "tqdm"),
    "eval_splits": ("eval", "splits"),
    "eval_batch_size": ("eval", "batch_size"),
    "max_new_tokens": ("eval", "max_new_tokens"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(cli, argv)


@click.group(context_settings={"token_normalize_func": lambda name: name.replace("-", "_"), "max_content_width": 120})
@click.version_option(phidata.__version__, prog_name="phitrain")
def cli() -> None:
    """Train and evaluate Phi vision models on phidata folders. `--debug` shows the traceback of an error."""


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--size", type=click.Choice(["tiny", "small", "full"]), default="tiny", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--num_crops", type=click.IntRange(1), help="the most local crops of an image that the folder asks for")
def init(folder: Path, size: str, seed: int, num_crops: int | None) -> None:
    """Make a model FOLDER with random weights in the published layout."""
    from phitrain.create import create_model_folder
    from phitrain.engine import import_deepspeed

    import_deepspeed()  # making a model imports it anyway, with words of its own
    options = {} if num_crops is None else {"num_crops": num_crops}
    with silent_after_first_failure():
        create_model_folder(folder, size=size, seed=seed, **options)
    click.echo(folder)


def flag(*names: str, **attributes: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that is None unless it was given."""
    return click.option(*names, default=None, **attributes)


@cli.command()
@click.argument("recipe")
@flag("--model_name_or_path", help="model folder or hub id")
@flag("--data_dir", help="data folder, as `phidata convert` writes it")
@flag("--output_dir", help="where the trained model, its evaluations and its log go")
@flag("--overwrite_output_dir", is_flag=True, help="replace what an earlier run left there")
@flag("--num_train_epochs", type=int)
@flag("--max_steps", type=int, help="optimizer steps, in place of num_train_epochs")
@flag("--batch_size", type=int, help="conversations an optimizer step, over all processes")
@flag("--batch_size_per_gpu", type=int, help="conversations a forward pass")
@flag("--num_crops", type=int, help="the most local crops of an image")
@flag("--max_length", type=int, help="a conversation with more tokens is an error [default: the model's limit]")
@flag("--learning_rate", type=float)
@flag("--wd", type=float, help="weight decay")
@flag("--warmup_steps", type=int)
@click.option("--bf16", is_flag=True, help="the same as --precision bf16")
@flag("--precision", help="auto, bf16 or fp32 [default: auto, bf16 where the device has it]")
@flag("--zero", type=int, help="ZeRO stage: 0, 1 or 2")
@flag("--attention", help="eager, sdpa or flash_attention_2")
@click.option("--use_flash_attention", is_flag=True, help="the same as --attention flash_attention_2")
@flag("--gradient_checkpointing", is_flag=False, flag_value="on", help="recompute activations: on, vision, llm or off")
@flag("--seed", type=int)
@flag("--eval_splits", help="comma-separated, as in val,test; '' evaluates nothing")
@flag("--eval_batch_size", type=int)
@flag("--max_new_tokens", type=int)
@flag("--num_workers", type=int, help="processes a rank that open images ahead")
@click.option("--no_tqdm", is_flag=True, help="lines in place of a progress bar")
@click.option("--full_train", is_flag=True, help="accepted from the published scripts: the whole split is always used")
@click.option("--use_lora", is_flag=True, hidden=True)
@click.option("--use_qlora", is_flag=True, hidden=True)
@click.option("--freeze_vision_model", is_flag=True, hidden=True)
@click.option("--lora_rank", hidden=True)
@click.option("--lora_alpha_ratio", hidden=True)
@click.option("--lora_dropout", hidden=True)
@click.option("--local_rank", type=int, hidden=True)  # some launchers pass it; the rank comes from the environment
@click.option("--set", "settings", multiple=True, metavar="SECTION.FIELD=VALUE", help="any value of the configuration")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def train(recipe: str, settings: tuple[str, ...], form: str, **flags: Any) -> None:
    """Train a model with RECIPE: one that ships with phitrain (docvqa, hateful_memes, nlvr2, ucf101), or a TOML file.

    Flags replace the recipe's values, --set replaces both. Under torchrun every process takes its share of each batch.
    """
    config = config_of(recipe, settings, flags)
    check_places(config)
    check_output(Path(config.train.output_dir), overwrite=config.train.overwrite_output_dir)
    with silent_after_first_failure():
        from phitrain.engine import close_world, open_world
        from phitrain.trainer import train as train_model

        world = open_world()
        summary = train_model(config, world)
        close_world()
    if world.is_main:
        summary = {"output_dir": config.train.output_dir, **summary}
        click.echo(json.dumps(summary) if form == "json" else summary_line(summary))


@cli.command("eval")
@click.argument("model")
@click.option("--data_dir", required=True, help="data folder, as `phidata convert` writes it")
@click.option("--split", "splits", required=True, help="one split, or several with commas")
@click.option("--batch_size", "--eval_batch_size", type=click.IntRange(1), default=4, show_default=True)
@click.option("--max_new_tokens", type=click.IntRange(1), default=64, show_default=True)
@flag("--num_crops", type=int, help="the most local crops of an image [default: the model folder's]")
@click.option("--precision", default="auto", show_default=True)
@click.option("--attention", default="sdpa", show_default=True)
@click.option("--num_workers", type=click.IntRange(0), default=0, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="also write the evaluation to this JSON file")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def evaluate(model: str, data_dir: str, splits: str, output: Path | None, form: str, **options: Any) -> None:
    """Generate an answer to every turn of a split with MODEL and report the accuracy."""
    given: Values = {
        "model": {"name_or_path": model, **{k: options[k] for k in ("num_crops", "precision", "attention")}},
        "data": {"dir": data_dir, "num_workers": options["num_workers"]},
        "eval": {
            "splits": names_of(splits),
            "batch_size": options["batch_size"],
            "max_new_tokens": options["max_new_tokens"],
        },
    }
    config = config_from(given)
    check_places(config)
    if output is not None and not output.parent.is_dir():
        raise UsageError(f"--output {output}: there is no folder {output.parent}; make it first")
    with silent_after_first_failure():
        from phitrain.engine import close_world, open_world
        from phitrain.evaluate import accuracy_lines
        from phitrain.output import write_json
        from phitrain.trainer import evaluate_model

        world = open_world()
        document = evaluate_model(config, world)
        close_world()
    if not world.is_main:
        return
    if output is not None:
        write_json(output, document)
    lines = [json.dumps(document, ensure_ascii=False)] if form == "json" else accuracy_lines(document["splits"])
    click.echo("\n".join(lines))


def config_of(recipe: str, settings: Sequence[str], flags: dict[str, Any]) -> Config:
    """The configuration of a command line: the recipe, then flags, then `--set`."""
    for name, sentence in NOT_YET.items():
        if flags.get(name):
            raise UsageError(sentence)
    for alias, name, value in (
        ("bf16", "precision", "bf16"),
        ("use_flash_attention", "attention", "flash_attention_2"),
    ):
        if flags.get(alias):
            if flags[name] not in (None, value):
                raise UsageError(f"--{alias} and --{name} {flags[name]} contradict each other; give one of them")
            flags[name] = value
    flags["tqdm"] = False if flags.get("no_tqdm") else None
    if flags.get("eval_splits") is not None:
        flags["eval_splits"] = names_of(flags["eval_splits"])
    given: Values = {}
    for flag_name, (section, field) in FIELDS.items():
        found = flags.get(flag_name)
        if found is not None:
            given.setdefault(section, {})[field] = found
    config = config_from(read_recipe(recipe), given, *map(read_setting, settings))
    for value, name in (
        (config.model.name_or_path, "model_name_or_path"),
        (config.data.dir, "data_dir"),
        (config.train.output_dir, "output_dir"),
    ):
        if not value:
            raise UsageError(f"--{name} is missing; `phitrain train --help` lists the flags")
    return config


def summary_line(summary: dict[str, Any]) -> str:
    """What a run came to, for people."""
    return (
        f"{summary['steps']} steps in {summary['seconds']:.0f} s, loss {summary['first_loss']:.4f} to "
        f"{summary['last_loss']:.4f}, {summary['tokens_per_s']:,.0f} tokens/s; model in {summary['output_dir']}"
    )


def check_places(config: Config) -> None:
    """Find a wrong name in a moment, before the heavy libraries are loaded."""
    folder = open_folder(config.data.dir)
    for split in (config.data.train_split, *config.eval.splits) if config.train.output_dir else config.eval.splits:
        folder.split(split)
    check_model(config.model.name_or_path)


def names_of(text: str) -> list[str]:
    """The names of a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


@contextmanager
def silent_after_first_failure() -> Iterator[None]:
    """Among processes that torchrun started, only the first that fails says why; alone, SIGTERM ends as Ctrl-C does."""
    if "RANK" not in os.environ:
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except BaseException:
        if not _is_first_failure():
            sys.stderr.flush()
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        raise


def _is_first_failure() -> bool:
    error_file = os.environ.get("TORCHELASTIC_ERROR_FILE")  # …/<attempt>/<rank>/error.json, in a folder of this launch
    if not error_file:
        return True
    marker = Path(error_file).parent.parent / "phitrain-failed"
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _interrupt(_signal: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt
