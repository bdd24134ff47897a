"""What a run is: one dataclass a part, read from a recipe, flags and `--set`, checked before anything is loaded."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

from phidata.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRECISIONS = ("auto", "bf16", "fp16", "fp32")
ATTENTIONS = ("auto", "eager", "sdpa", "flash_attention_2")
CHECKPOINTING = ("off", "on", "vision", "llm")
STRATEGIES = ("full", "frozen-vision", "lora", "qlora")
SCHEDULES = ("linear", "cosine", "constant")
OFFLOADS = ("none", "optimizer", "parameters")
METRICS = ("accuracy", "anls", "anls-official", "exact-any")
HISTORIES = ("reference", "own")
QUESTIONS = ("all", "one")
ANSWERS = ("first", "random")

Values = dict[str, dict[str, Any]]  # section → field → value
_hints = cache(typing.get_type_hints)


@dataclass(frozen=True, kw_only=True)
class ModelPart:
    """Which model, and how it runs.

    `precision` auto: bf16 where the device has it, else fp16 on a GPU and fp32 on a CPU. `attention` auto: flash
    attention where it runs, else sdpa. `gradient_checkpointing`: of which part the activations are computed again.
    """

    name_or_path: str = ""
    precision: str = "auto"
    attention: str = "auto"
    num_crops: int | None = None  # None: what the model's own preprocessor says
    max_length: int | None = None  # None: the model's own limit; a longer conversation is an error
    gradient_checkpointing: str = "off"


@dataclass(frozen=True, kw_only=True)
class StrategyPart:
    """What of the model is trained. Everything but `kind` and `train_projector` concerns lora and qlora."""

    kind: str = "full"
    train_projector: bool = False  # frozen-vision: train the image projection and the separators all the same
    freeze_vision: bool = False  # no adapters in the vision part
    lora_rank: int = 64
    lora_alpha_ratio: float = 2.0  # alpha = rank x ratio
    lora_dropout: float = 0.0
    dora: bool = False
    rslora: bool = False


@dataclass(frozen=True, kw_only=True)
class DataPart:
    """Which data folder, and how many processes a rank opens images with.

    `questions` one: of all rows about the same images one a epoch, chosen by seed and epoch. `answer` random: of the
    accepted answers one, chosen by seed, epoch and row. `converter` and `source` make the folder where there is none,
    `eval_source` adds the splits to evaluate where those are from another source.
    """

    dir: str = ""
    train_split: str = "train"
    num_workers: int = 0
    questions: str = "all"
    answer: str = "first"
    converter: str = ""
    source: str = ""  # "": the converter's own data set on the hub
    convert_options: tuple[str, ...] = ()  # of `phidata convert`, such as "--limit=100"
    eval_source: str = ""
    eval_convert_options: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OptimizerPart:
    """AdamW with a linear schedule; the defaults are those of the published scripts."""

    learning_rate: float = 4e-5
    vision_learning_rate: float | None = None  # of the vision tower; None: learning_rate
    projector_learning_rate: float | None = None  # of the image projection and the separators; None: learning_rate
    schedule: str = "linear"
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-7
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    warmup_steps: int = 50


@dataclass(frozen=True, kw_only=True)
class TrainPart:
    """The run itself. `batch_size` counts conversations an optimizer step, over all ranks.

    `save_steps`: a checkpoint every so many steps; `save_total_limit`: how many of them are kept beside the best one.
    `resume_from_checkpoint`: a checkpoint folder, or "latest" for the newest whole one of the output folder.
    `zero`: ZeRO stage; `offload` optimizer: its state and step in host memory; parameters: those too (stage 3).
    """

    output_dir: str = ""
    overwrite_output_dir: bool = False
    num_train_epochs: int = 1
    max_steps: int | None = None
    batch_size: int = 16
    batch_size_per_gpu: int = 1
    zero: int = 1
    offload: str = "none"
    seed: int = 42
    log_every: int = 1
    tqdm: bool = True
    save_steps: int | None = None
    save_total_limit: int | None = None
    resume_from_checkpoint: str | None = None
    allow_changed: bool = False
    report_to: tuple[str, ...] = ("auto",)  # beside TensorBoard: wandb, trackio; auto: those that are installed


@dataclass(frozen=True, kw_only=True)
class EvalPart:
    """Generation before, during and after training; no splits means no evaluation.

    `every`: also after every so many steps. `history`: what stands in the place of earlier answers when a later turn
    is asked, the reference answers or the model's own. The first metric decides which checkpoint is the best.
    """

    splits: tuple[str, ...] = ("val", "test")
    metrics: tuple[str, ...] = ("accuracy",)
    history: str = "reference"
    batch_size: int = 4
    max_new_tokens: int = 64
    before: bool = True
    every: int | None = None


LOWEST = {
    "train.num_train_epochs": 1,
    "train.batch_size": 1,
    "train.batch_size_per_gpu": 1,
    "train.max_steps": 1,
    "train.log_every": 1,
    "train.save_steps": 1,
    "train.save_total_limit": 1,
    "train.seed": 0,
    "model.num_crops": 1,
    "model.max_length": 1,
    "strategy.lora_rank": 1,
    "data.num_workers": 0,
    "optimizer.warmup_steps": 0,
    "eval.batch_size": 1,
    "eval.max_new_tokens": 1,
    "eval.every": 1,
}
HIGHEST = {"train.seed": 2**63 - 1}  # as torch takes it, with a rank added
ABOVE_ZERO = (
    "optimizer.learning_rate",
    "optimizer.vision_learning_rate",
    "optimizer.projector_learning_rate",
    "optimizer.eps",
    "optimizer.max_grad_norm",
    "strategy.lora_alpha_ratio",
)
BELOW_ONE = ("strategy.lora_dropout", "optimizer.betas")
CHOICES: dict[str, tuple[object, ...]] = {
    "model.precision": PRECISIONS,
    "model.attention": ATTENTIONS,
    "model.gradient_checkpointing": CHECKPOINTING,
    "strategy.kind": STRATEGIES,
    "data.questions": QUESTIONS,
    "data.answer": ANSWERS,
    "optimizer.schedule": SCHEDULES,
    "train.zero": (0, 1, 2, 3),
    "train.offload": OFFLOADS,
    "train.report_to": ("auto", "wandb", "trackio"),
    "eval.metrics": METRICS,
    "eval.history": HISTORIES,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run, complete."""

    model: ModelPart = field(default_factory=ModelPart)
    strategy: StrategyPart = field(default_factory=StrategyPart)
    data: DataPart = field(default_factory=DataPart)
    optimizer: OptimizerPart = field(default_factory=OptimizerPart)
    train: TrainPart = field(default_factory=TrainPart)
    eval: EvalPart = field(default_factory=EvalPart)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; `config_from` makes an equal configuration of them."""
        return dataclasses.asdict(self)


def config_from(*layers: Mapping[str, Mapping[str, Any]]) -> Config:
    """Build and check a configuration; a later layer's value replaces an earlier one's.

    Raises UsageError for unknown sections and fields (naming the nearest known one), values of the wrong type, and
    values that contradict each other.
    """
    parts = _hints(Config)
    merged: Values = {name: {} for name in parts}
    for layer in layers:
        for section, values in layer.items():
            if section not in parts:
                raise UsageError(f"no configuration section {section!r}{nearest(section, parts)}")
            if not isinstance(values, Mapping):
                raise UsageError(f"configuration section {section!r} must be a table, found {values!r}")
            merged[section] |= values
    config = Config(**{name: _part(name, part, merged[name]) for name, part in parts.items()})
    _check(config)
    return config


def read_setting(text: str) -> Values:
    """One `section.field=value` of the command line; the value is TOML, or else plain text."""
    key, equals, raw = text.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and name):
        raise UsageError(f"--set {text!r} is not section.field=value, for example --set optimizer.eps=1e-8")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    return {section: {name: value}}


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest known word, or nothing."""
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _part(section: str, part: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    kinds = _hints(part)
    for name in values:
        if name not in kinds:
            known = ", ".join(kinds)
            raise UsageError(f"no field {name!r} in section {section!r}{nearest(name, kinds)}; it has {known}")
    return part(**{name: _typed(f"{section}.{name}", kinds[name], value) for name, value in values.items()})


def _typed(where: str, kind: Any, value: Any) -> Any:
    """`value` as the type of its field; numbers may be whole where a float is asked for, lists become tuples."""
    if isinstance(kind, types.UnionType):
        return None if value is None else _typed(where, typing.get_args(kind)[0], value)
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)
        if not isinstance(value, (list, tuple)) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            is_open = inner[-1] is Ellipsis
            count = "a list" if is_open else f"a list of {len(inner)} values"
            hint = f"; write {json.dumps(value.split(','))}" if is_open and isinstance(value, str) else ""
            raise UsageError(f"{where} must be {count}, found {value!r}{hint}")
        return tuple(_typed(where, inner[0], item) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
        raise UsageError(f"{where} must be {names[kind.__name__]}, found {value!r}")
    return value


def _check(config: Config) -> None:
    for where in (*LOWEST, *ABOVE_ZERO, *BELOW_ONE, "optimizer.weight_decay"):
        value = _value(config, where)
        for one in value if isinstance(value, tuple) else (value,):
            if one is not None:
                _check_number(where, one)
    for where, known in CHOICES.items():
        value = _value(config, where)
        for one in value if isinstance(value, tuple) else (value,):
            if one not in known:
                hint = nearest(str(one), [str(name) for name in known])
                raise UsageError(f"{where} is {one!r}; it must be one of {', '.join(map(str, known))}{hint}")
    _check_combinations(config)


def _check_number(where: str, value: float) -> None:
    """Written so that nan is never what it must be."""
    if where in LOWEST and not value >= LOWEST[where]:
        raise UsageError(f"{where} is {value}; it must be at least {LOWEST[where]}")
    if where in HIGHEST and not value <= HIGHEST[where]:
        raise UsageError(f"{where} is {value}; it must be at most {HIGHEST[where]}")
    if where in ABOVE_ZERO and not 0 < value < math.inf:
        raise UsageError(f"{where} is {value}; it must be a number above 0")
    if where in BELOW_ONE and not 0 <= value < 1:
        raise UsageError(f"{where} is {value}; it must be at least 0 and below 1")
    if where == "optimizer.weight_decay" and not 0 <= value < math.inf:
        raise UsageError(f"{where} is {value}; it must be 0 or more, and finite")


def _check_combinations(config: Config) -> None:
    """Refuse what contradicts itself on every machine; what only this machine can not do is refused by `resolve`."""
    strategy, train = config.strategy, config.train
    if train.offload == "parameters" and train.zero != 3:
        raise UsageError(f"--offload parameters needs --zero 3, found --zero {train.zero}; use --zero 3")
    if train.offload == "optimizer" and train.zero == 0:
        raise UsageError("--offload optimizer needs --zero 1, 2 or 3, found --zero 0; use --zero 1")
    if strategy.kind == "qlora" and strategy.dora and train.zero == 3:
        raise UsageError("strategy.dora with strategy.kind qlora needs --zero 0, 1 or 2, found --zero 3; use --zero 2")
    if strategy.kind not in ("lora", "qlora"):
        for name in ("freeze_vision", "dora", "rslora"):
            if getattr(strategy, name):
                remedy = "use strategy.kind frozen-vision" if name == "freeze_vision" else "use strategy.kind lora"
                raise UsageError(
                    f"strategy.{name} concerns lora and qlora, found strategy.kind {strategy.kind}; {remedy}"
                )
    alpha = strategy.lora_rank * strategy.lora_alpha_ratio
    if strategy.kind in ("lora", "qlora") and round(alpha) < 1:
        raise UsageError(
            f"--lora_rank {strategy.lora_rank} times --lora_alpha_ratio {strategy.lora_alpha_ratio:g} is an alpha of "
            f"{alpha:g}, which is rounded to 0, so that adapters change nothing; raise one of them"
        )
    if strategy.train_projector and strategy.kind != "frozen-vision":
        raise UsageError(
            f"strategy.train_projector concerns frozen-vision, found strategy.kind {strategy.kind}; leave it out"
        )
    if not config.eval.metrics:
        raise UsageError(f"eval.metrics names no metric; give one or more of {', '.join(METRICS)}")
    if config.train.save_total_limit is not None and config.train.save_steps is None:
        raise UsageError("--save_total_limit is given without --save_steps, so nothing is saved; give --save_steps too")
    if config.eval.every is not None and not config.eval.splits:
        raise UsageError("--eval_steps is given and --eval_splits names no split; name the splits to evaluate")


def _value(config: Config, where: str) -> Any:
    section, name = where.split(".")
    return getattr(getattr(config, section), name)
