"""What a run is: one dataclass a part, read from a recipe, flags and `--set`, checked before anything is loaded."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from phidata.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRECISIONS = ("auto", "bf16", "fp32")
ATTENTIONS = ("eager", "sdpa", "flash_attention_2")

Values = dict[str, dict[str, Any]]  # section → field → value


@dataclass(frozen=True, kw_only=True)
class ModelPart:
    """Which model, and how it runs. `precision` auto: bf16 on a device that has it, else fp32."""

    name_or_path: str = ""
    precision: str = "auto"
    attention: str = "sdpa"
    num_crops: int | None = None  # None: what the model's own preprocessor says
    max_length: int | None = None  # None: the model's own limit; a longer conversation is an error
    gradient_checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class DataPart:
    """Which data folder, and how many processes a rank opens images with."""

    dir: str = ""
    train_split: str = "train"
    num_workers: int = 0


@dataclass(frozen=True, kw_only=True)
class OptimizerPart:
    """AdamW with a linear schedule; the defaults are those of the published scripts."""

    learning_rate: float = 4e-5
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-7
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    warmup_steps: int = 50


@dataclass(frozen=True, kw_only=True)
class TrainPart:
    """The run itself. `batch_size` counts conversations an optimizer step, over all ranks."""

    output_dir: str = ""
    overwrite_output_dir: bool = False
    num_train_epochs: int = 1
    max_steps: int | None = None
    batch_size: int = 16
    batch_size_per_gpu: int = 1
    zero: int = 1
    seed: int = 42
    log_every: int = 1
    tqdm: bool = True


@dataclass(frozen=True, kw_only=True)
class EvalPart:
    """Generation before and after training; no splits means no evaluation."""

    splits: tuple[str, ...] = ("val", "test")
    batch_size: int = 4
    max_new_tokens: int = 64
    before: bool = True


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run, complete."""

    model: ModelPart = field(default_factory=ModelPart)
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
    parts = typing.get_type_hints(Config)
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


def read_recipe(name_or_path: str) -> Values:
    """The values of a recipe that ships with the package (by name), or of a TOML file (by path)."""
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(f"no recipe file {path}; give the path of a TOML file, or one of {_listed(recipes())}")
        text, where = path.read_text(encoding="utf-8"), str(path)
    else:
        if name_or_path not in recipes():
            hint = nearest(name_or_path, recipes())
            raise UsageError(
                f"no recipe {name_or_path!r}{hint}; there is {_listed(recipes())}, or give the path of a .toml file"
            )
        text = files("phitrain.recipes").joinpath(f"{name_or_path}.toml").read_text(encoding="utf-8")
        where = f"recipe {name_or_path}"
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from error


def recipes() -> list[str]:
    """The names of the recipes that ship with the package."""
    return sorted(file.name[:-5] for file in files("phitrain.recipes").iterdir() if file.name.endswith(".toml"))


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


def _part(section: str, part: type[Any], values: Mapping[str, Any]) -> Any:
    kinds = typing.get_type_hints(part)
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
            count = "a list" if inner[-1] is Ellipsis else f"a list of {len(inner)} values"
            raise UsageError(f"{where} must be {count}, found {value!r}")
        return tuple(_typed(where, inner[0], item) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        names = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
        raise UsageError(f"{where} must be {names[kind.__name__]}, found {value!r}")
    return value


def _check(config: Config) -> None:
    for where, low in (
        ("train.num_train_epochs", 1),
        ("train.batch_size", 1),
        ("train.batch_size_per_gpu", 1),
        ("train.max_steps", 1),
        ("train.log_every", 1),
        ("train.seed", 0),
        ("model.num_crops", 1),
        ("model.max_length", 1),
        ("data.num_workers", 0),
        ("optimizer.warmup_steps", 0),
        ("eval.batch_size", 1),
        ("eval.max_new_tokens", 1),
    ):
        section, name = where.split(".")
        value = getattr(getattr(config, section), name)
        if value is not None and value < low:
            raise UsageError(f"{where} is {value}; it must be at least {low}")
    for where, value in (
        ("optimizer.learning_rate", config.optimizer.learning_rate),
        ("optimizer.eps", config.optimizer.eps),
        ("optimizer.max_grad_norm", config.optimizer.max_grad_norm),
    ):
        if not value > 0:
            raise UsageError(f"{where} is {value}; it must be above 0")
    if config.model.precision == "fp16":
        raise UsageError("precision fp16 is not available; use bf16, which needs no loss scaling, or fp32")
    _one_of("model.precision", config.model.precision, PRECISIONS)
    _one_of("model.attention", config.model.attention, ATTENTIONS)
    if config.train.zero == 3:
        raise UsageError("zero 3 is not available yet; use zero 2, which shards gradients and optimizer state")
    _one_of("train.zero", config.train.zero, (0, 1, 2))


def _one_of(where: str, value: object, known: typing.Sequence[object]) -> None:
    if value not in known:
        raise UsageError(f"{where} is {value!r}; it must be one of {', '.join(str(name) for name in known)}")


def _listed(names: typing.Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
