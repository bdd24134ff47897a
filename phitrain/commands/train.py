"""`phitrain train`: a recipe, the flags of the published scripts and ours, and `--set` for everything else."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from phidata.errors import UsageError
from phitrain.commands.options import check_places, flag, form, names_of, require
from phitrain.config import Config, Values, config_from, read_setting
from phitrain.data import data_folder, ensure_data
from phitrain.log import loss_words
from phitrain.models.adapter import check_model
from phitrain.models.hub import model_folder
from phitrain.models.lora_folder import is_lora_folder
from phitrain.output import OutputLock, check_apart, check_output
from phitrain.recipes import read_recipe
from phitrain.trackers import choose_trackers

# flag → section and field; a flag that is not given leaves the recipe's value
FIELDS = {
    "model_name_or_path": ("model", "name_or_path"),
    "precision": ("model", "precision"),
    "attention": ("model", "attention"),
    "num_crops": ("model", "num_crops"),
    "max_length": ("model", "max_length"),
    "gradient_checkpointing": ("model", "gradient_checkpointing"),
    "strategy": ("strategy", "kind"),
    "freeze_vision": ("strategy", "freeze_vision"),
    "lora_rank": ("strategy", "lora_rank"),
    "lora_alpha_ratio": ("strategy", "lora_alpha_ratio"),
    "lora_dropout": ("strategy", "lora_dropout"),
    "dora": ("strategy", "dora"),
    "rslora": ("strategy", "rslora"),
    "data_dir": ("data", "dir"),
    "num_workers": ("data", "num_workers"),
    "learning_rate": ("optimizer", "learning_rate"),
    "vision_learning_rate": ("optimizer", "vision_learning_rate"),
    "projector_learning_rate": ("optimizer", "projector_learning_rate"),
    "wd": ("optimizer", "weight_decay"),
    "warmup_steps": ("optimizer", "warmup_steps"),
    "output_dir": ("train", "output_dir"),
    "overwrite_output_dir": ("train", "overwrite_output_dir"),
    "num_train_epochs": ("train", "num_train_epochs"),
    "max_steps": ("train", "max_steps"),
    "batch_size": ("train", "batch_size"),
    "batch_size_per_gpu": ("train", "batch_size_per_gpu"),
    "zero": ("train", "zero"),
    "offload": ("train", "offload"),
    "seed": ("train", "seed"),
    "tqdm": ("train", "tqdm"),
    "save_steps": ("train", "save_steps"),
    "save_total_limit": ("train", "save_total_limit"),
    "resume_from_checkpoint": ("train", "resume_from_checkpoint"),
    "allow_changed": ("train", "allow_changed"),
    "report_to": ("train", "report_to"),
    "eval_splits": ("eval", "splits"),
    "eval_steps": ("eval", "every"),
    "metric": ("eval", "metrics"),
    "eval_batch_size": ("eval", "batch_size"),
    "max_new_tokens": ("eval", "max_new_tokens"),
}
LISTS = ("eval_splits", "metric", "report_to")


@click.command()
@click.argument("recipe")
@flag("--model_name_or_path", help="model folder or hub id")
@flag("--data_dir", help="data folder, as `phidata convert` writes it [default: the recipe's data set, converted]")
@flag("--output_dir", help="where the trained model, its evaluations and its log go")
@flag("--overwrite_output_dir", is_flag=True, help="replace what an earlier run left there")
@flag("--strategy", help="full, frozen-vision, lora or qlora")
@click.option("--use_lora", is_flag=True, help="the same as --strategy lora")
@click.option("--use_qlora", is_flag=True, help="the same as --strategy qlora")
@click.option("--freeze_vision_model", is_flag=True, help="train nothing in the vision part")
@flag("--lora_rank", type=int)
@flag("--lora_alpha_ratio", type=float, help="alpha over rank")
@flag("--lora_dropout", type=float)
@flag("--dora", is_flag=True, help="weight-decomposed adapters")
@flag("--rslora", is_flag=True, help="adapters scaled by alpha over the root of the rank")
@flag("--num_train_epochs", type=int)
@flag("--max_steps", type=int, help="optimizer steps, in place of num_train_epochs")
@flag("--batch_size", type=int, help="conversations an optimizer step, over all processes")
@flag("--batch_size_per_gpu", type=int, help="conversations a forward pass")
@flag("--num_crops", type=int, help="the most local crops of an image")
@flag("--max_length", type=int, help="a conversation with more tokens is an error [default: the model's limit]")
@flag("--learning_rate", type=float)
@flag("--vision_learning_rate", type=float, help="of the vision tower, where it differs")
@flag("--projector_learning_rate", type=float, help="of the image projection, where it differs")
@flag("--wd", type=float, help="weight decay")
@flag("--warmup_steps", type=int)
@click.option("--bf16", is_flag=True, help="the same as --precision bf16")
@flag("--precision", help="auto, bf16, fp16 or fp32 [default: auto, the best that the device has]")
@flag("--attention", help="auto, eager, sdpa or flash_attention_2 [default: auto, the fastest that runs here]")
@click.option("--use_flash_attention", is_flag=True, help="the same as --attention flash_attention_2")
@flag(
    "--gradient_checkpointing", is_flag=False, flag_value="on", help="compute activations again: on, vision, llm, off"
)
@flag("--zero", type=int, help="ZeRO stage: 0, 1, 2 or 3")
@flag("--offload", help="to host memory: none, optimizer, or parameters (with --zero 3)")
@flag("--seed", type=int)
@flag("--save_steps", type=int, help="write a checkpoint every so many steps")
@flag("--save_total_limit", type=int, help="keep this many checkpoints, and the best one")
@flag(
    "--resume_from_checkpoint",
    is_flag=False,
    flag_value="latest",
    help="go on from a checkpoint folder, or from the newest whole one of --output_dir [latest]",
)
@flag("--allow_changed", is_flag=True, help="go on although configuration, data or model have changed")
@flag("--eval_splits", help="comma-separated, as in val,test; '' evaluates nothing")
@flag("--eval_steps", type=int, help="evaluate every so many steps, beside before and after")
@flag("--metric", help="accuracy, anls, anls-official, exact-any; comma-separated, the first one decides")
@flag("--eval_batch_size", type=int)
@flag("--max_new_tokens", type=int)
@flag("--num_workers", type=int, help="processes a rank that open images ahead")
@flag("--report_to", help="wandb, trackio, beside TensorBoard [default: those that are set up]")
@click.option("--no_tqdm", is_flag=True, help="lines in place of a progress bar")
@click.option("--full_train", is_flag=True, help="accepted from the published scripts: the whole split is always used")
@click.option("--local_rank", type=int, hidden=True)  # some launchers pass it; the rank comes from the environment
@click.option("--set", "settings", multiple=True, metavar="SECTION.FIELD=VALUE", help="any value of the configuration")
@click.option("--dry_run", is_flag=True, help="print the configuration, the steps and the memory that they need; stop")
@form()
def train(recipe: str, settings: tuple[str, ...], dry_run: bool, form: str, **flags: Any) -> None:
    """Train a model with RECIPE: one of `phitrain recipes`, or a TOML file.

    Flags replace the recipe's values, --set replaces both. Under torchrun every process takes its share of each batch.
    """
    config = config_of(recipe, settings, flags)
    check_request(config)
    if dry_run:
        plan = told_plan(config, form)
        if os.environ.get("RANK", "0") == "0":
            click.echo(plan)
        return
    place = str(ensure_data(config.data))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dir=place))
    check_places(config)
    tell_crowd(config.data.num_workers)
    from phitrain.engine import close_world, open_world
    from phitrain.trainer import train as train_model

    world, lock = open_world(), OutputLock(Path(config.train.output_dir))
    world.on_main(lock.take)
    try:
        summary = train_model(config, world)
    finally:
        lock.release()
    close_world()
    if world.is_main:
        summary = {"output_dir": config.train.output_dir, **summary}
        click.echo(json.dumps(summary) if form == "json" else summary_line(summary))


def check_request(config: Config) -> None:
    """Refuse what names something that is not there, or would write where it must not, before anything is done."""
    wanted, output = config.train.resume_from_checkpoint, Path(config.train.output_dir)
    check_output(output, overwrite=config.train.overwrite_output_dir or wanted is not None)
    check_model(config.model.name_or_path)
    if is_lora_folder(model_folder(config.model.name_or_path)):
        raise UsageError(
            f"{config.model.name_or_path} holds adapters, which are not trained further; start from the model that "
            f"`phitrain merge BASE {config.model.name_or_path} OUT` writes"
        )
    check_apart(output, model_name_or_path=config.model.name_or_path, data_dir=config.data.dir)
    choose_trackers(config.train.report_to)
    if wanted not in (None, "latest") and not Path(str(wanted)).is_dir():
        raise UsageError(f"there is no checkpoint {wanted}; give a checkpoint-<step> folder of a run, or latest")


def tell_crowd(num_workers: int) -> None:
    """Say it once where a host has fewer cores than processes that open images."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if num_workers * ranks > cores and os.environ.get("RANK", "0") == "0":
        found = f"{num_workers * ranks} processes open images on {cores} cores"
        click.echo(f"{found}; give fewer than --num_workers {num_workers}", err=True)


def told_plan(config: Config, form: str) -> str:
    """The settled configuration and what the run will take; nothing is converted, no weights are read."""
    place = data_folder(config.data)
    if not config.data.dir and not place.is_dir():
        raise UsageError(f"the plan needs the data, and there is no folder {place}; convert it, or give --data_dir")
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dir=str(place)))
    check_places(config)
    from phitrain.plan import plan_lines
    from phitrain.trainer import plan_of

    config, plan, notes = plan_of(config, int(os.environ.get("WORLD_SIZE", "1")))
    if form == "json":
        return json.dumps({"config": config.as_dict(), "plan": plan.as_dict(), "notes": notes})
    settings = [
        f"{section}.{name} = {json.dumps(value)}"
        for section, values in config.as_dict().items()
        for name, value in values.items()
    ]
    return "\n".join([*settings, "", *plan_lines(plan, config, int(os.environ.get("WORLD_SIZE", "1"))), *notes])


def config_of(recipe: str, settings: Sequence[str], flags: dict[str, Any]) -> Config:
    """The configuration of a command line: the recipe, then flags, then `--set`."""
    recipe_values, overrides = read_recipe(recipe), [read_setting(setting) for setting in settings]
    given: Values = {}
    for name, value in published(flags, kind_of(recipe_values, *overrides)).items():
        if name in FIELDS and value is not None:
            section, field = FIELDS[name]
            given.setdefault(section, {})[field] = value
    config = config_from(recipe_values, given, *overrides)
    require(model_name_or_path=config.model.name_or_path, output_dir=config.train.output_dir)
    return config


def kind_of(*layers: Values) -> str:
    """The strategy of a recipe and of what overrides it, later layers first."""
    sections = [layer.get("strategy") for layer in reversed(layers)]
    kinds = [section["kind"] for section in sections if isinstance(section, Mapping) and "kind" in section]
    return str(kinds[0]) if kinds else "full"


def published(flags: dict[str, Any], kind: str) -> dict[str, Any]:
    """The flags with those of the published scripts that say the same as one of ours turned into it.

    `kind` is the strategy where no flag gives one. Raises UsageError where two flags contradict each other.
    """
    flags = dict(flags)
    for alias, name, value in (
        ("bf16", "precision", "bf16"),
        ("use_flash_attention", "attention", "flash_attention_2"),
        ("use_qlora", "strategy", "qlora"),  # the published scripts take it beside --use_lora
        ("use_lora", "strategy", "lora"),
    ):
        if flags.get(alias):
            if flags.get(name) not in (None, value) and not (alias == "use_lora" and flags.get("use_qlora")):
                raise UsageError(f"--{alias} and --{name} {flags[name]} contradict each other; give one of them")
            flags[name] = flags.get(name) or value
    if flags.get("freeze_vision_model"):
        if (flags.get("strategy") or kind) in ("lora", "qlora"):
            flags["freeze_vision"] = True
        else:
            flags["strategy"] = "frozen-vision"
    flags["tqdm"] = False if flags.get("no_tqdm") else None
    return flags | {name: names_of(flags.get(name)) for name in LISTS}


def summary_line(summary: dict[str, Any]) -> str:
    """What a run came to, for people."""
    folder = summary["output_dir"]
    if "stopped_at" in summary:
        return (
            f"stopped as asked after step {summary['stopped_at']} of {summary['steps']}; "
            f"--resume_from_checkpoint goes on from {folder}/checkpoint-{summary['stopped_at']}"
        )
    steps = "1 step" if summary["steps"] == 1 else f"{summary['steps']} steps"
    skipped = f", {summary['skipped_steps']} of them skipped" if summary["skipped_steps"] else ""
    losses = f"loss {loss_words(summary['first_loss'])} to {loss_words(summary['last_loss'])}"
    speed = f"{summary['tokens_per_s']:,.0f} tokens/s"
    return f"{steps}{skipped} in {summary['seconds']:.0f} s, {losses}, {speed}; model in {folder}"
