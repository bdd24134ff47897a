"""The head of the page: what was trained on what, how far, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from tqdm import tqdm

from phitrain.log import Line
from phitrain.page.markup import Html, data, el
from phitrain.page.scale import number
from phitrain.page.scores import named_score

Config = Mapping[str, Mapping[str, Any]]


def header(name: str, config: Config, log: Sequence[Line], evaluations: Sequence[Mapping[str, Any]]) -> Html:
    """Title, one line of facts, and the figures that one looks for first."""
    facts = [
        config["strategy"]["kind"],
        f"{config['model']['name_or_path']} on {config['data']['dir']}",
        f"{config['model']['precision']}, {config['model']['attention']}, ZeRO {config['train']['zero']}",
        f"batch {config['train']['batch_size']}",
        *([f"begun {datetime.fromtimestamp(log[0]['time'], timezone.utc):%Y-%m-%d %H:%M} UTC"] if log else []),
    ]
    tiles = [*_progress(config, log), *_scores(evaluations), *_speed(log)] if log else _scores(evaluations)
    return el(
        "header",
        "",
        data("h1", "", name),
        data("p", "facts", " · ".join(facts)),
        el("div", "tiles", *(_tile(*tile) for tile in tiles)),
    )


def total_steps(config: Config, last: Line) -> int:
    """How many steps the whole run has, by its configuration and a line of its log."""
    steps: int | None = config["train"]["max_steps"]
    return steps or round(last["step"] / last["epoch"]) * int(config["train"]["num_train_epochs"])


def mean_rate(log: Sequence[Line], field: str) -> float:
    """A rate of the steps over all of their time."""
    seconds = sum(line["seconds"] for line in log)
    return sum(line[field] * line["seconds"] for line in log) / seconds if seconds else 0.0


def _progress(config: Config, log: Sequence[Line]) -> list[tuple[str, str, str]]:
    train, last, total = config["train"], log[-1], total_steps(config, log[-1])
    losses = [line["loss"] for line in log if line["loss"] is not None]
    elapsed = tqdm.format_interval(sum(line["seconds"] for line in log))
    return [
        ("steps", f"{last['step']:,}", f"in {elapsed}" if last["step"] == total else f"of {total:,}, in {elapsed}"),
        ("epoch", f"{last['epoch']:.4g}", "" if train["max_steps"] else f"of {train['num_train_epochs']}"),
        ("loss", number(losses[-1]) if losses else "none", f"from {number(losses[0])}" if losses else ""),
    ]


def _scores(evaluations: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The first metric of each split, at the end and at the beginning."""
    tiles = []
    for split in evaluations[-1]["splits"] if evaluations else ():
        metric = evaluations[-1]["metrics"][0]
        found = [named_score(evaluation, split, metric) for evaluation in evaluations]
        means = [f"{score.mean:.3f}" for score in found if score is not None]
        tiles.append((f"{metric} {split}", means[-1], f"from {means[0]}" if len(means) > 1 else ""))
    return tiles


def _speed(log: Sequence[Line]) -> list[tuple[str, str, str]]:
    memory = max(line["peak_memory_bytes"] for line in log) / 2**30
    used = [line["mfu"] for line in log if line["mfu"] is not None]
    return [
        ("tokens/s", f"{mean_rate(log, 'tokens_per_s'):,.0f}", f"{number(mean_rate(log, 'images_per_s'), 3)} images/s"),
        *([("MFU", f"{100 * sum(used) / len(used):.0f} %", "")] if used else []),
        ("peak memory", f"{memory:.2f} GiB", ""),
    ]


def _tile(label: str, value: str, below: str) -> Html:
    return el("div", "tile", el("span", "label", label), el("b", "", value), el("span", "below", below))
