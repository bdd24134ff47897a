"""README.md of what a run hands back: a model card as the hub reads it."""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from phidata.errors import DataError, PhidataError
from phidata.loading import open_folder
from phitrain.log import loss_words
from phitrain.models.hub import is_local
from phitrain.output import RUN_CONFIG, replacing

CARD = "README.md"
SUMMARY = "train_summary.json"
LICENCES = {"microsoft/Phi-3-vision-128k-instruct": "mit", "microsoft/Phi-3.5-vision-instruct": "mit"}
PACKAGES = ("phidata-vision", "torch", "transformers", "peft", "deepspeed", "bitsandbytes")
STRATEGIES = {
    "full": "all weights",
    "frozen-vision": "the language model; the vision part is frozen",
    "lora": "LoRA adapters",
    "qlora": "LoRA adapters on a base model in four bits (QLoRA, NF4 with double quantisation)",
}

Values = Mapping[str, Mapping[str, Any]]  # section → field → value of a configuration


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What a run's folder says of it. `evaluations` by when: before, after, step 40, …; in that order."""

    config: Values
    summary: Mapping[str, Any]
    evaluations: Mapping[str, Mapping[str, Any]]


def write_card(
    folder: Path,
    config: Values,
    summary: Mapping[str, Any],
    evaluations: Mapping[str, Mapping[str, Any]],
    *,
    title: str | None = None,
    merged: bool = False,
) -> None:
    """Write the card of a run's result into `folder`, under the folder's name or another title.

    `config` as `Config.as_dict` gives it, `summary` as train_summary.json has it (its `steps` alone is enough),
    `evaluations` by when they were made (before, after, step 40), as the eval_*.json files have them. `merged`: the
    adapters of a lora or qlora run were merged into their base model.
    """
    has_adapters = config["strategy"]["kind"] in ("lora", "qlora") and not merged
    parts = (
        f"# {title or folder.absolute().name}",
        _opening(config, merged=merged),
        *("## What was trained", _table(("", ""), _facts(config, summary))),
        *_scores(evaluations, merged=merged),
        *("## How to load it", _loading(config, folder, has_adapters=has_adapters)),
        *("## Configuration", _table(("field", "value"), _fields(config))),
        *("## Versions", _versions()),
    )
    text = _front_matter(config, has_adapters=has_adapters) + "\n\n".join(parts) + "\n"
    with replacing(folder / CARD) as file:
        file.write(text)


def read_run(folder: Path, step: int | None = None) -> RunFiles | None:
    """What the files of a finished run say; None where there are none. With `step`, what they say of the model after
    that step, whether the run has ended or not: nothing that was measured later.

    Raises DataError for a file that is damaged.
    """
    if not (folder / RUN_CONFIG).is_file():
        return None
    config = _read(folder / RUN_CONFIG)
    evaluations = {_when(path): _read(path) for path in folder.glob("eval_*.json")}
    evaluations = {when: evaluations[when] for when in sorted(evaluations, key=_order)}
    if (folder / SUMMARY).is_file():
        summary = _read(folder / SUMMARY)
        if step in (None, summary.get("steps")):
            return RunFiles(config=config, summary=summary, evaluations=evaluations)
    if step is None:
        return None
    earlier = {when: document for when, document in evaluations.items() if _order(when) <= step}
    return RunFiles(config=config, summary={"steps": step}, evaluations=earlier)


def _when(path: Path) -> str:
    return path.stem.removeprefix("eval_").replace("_", " ")


def _order(when: str) -> float:
    """before, step 20, step 40, after."""
    steps = re.fullmatch(r"step (\d+)", when)
    return float(steps[1]) if steps else -1.0 if when == "before" else float("inf")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); remove it, or copy it there again") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} must hold a JSON object; remove it, or copy it there again")
    return found


def _front_matter(config: Values, *, has_adapters: bool) -> str:
    from huggingface_hub import ModelCardData

    base = _repository(config)
    data = ModelCardData(
        license=_licence(config["model"]["name_or_path"]),
        base_model=base,
        base_model_relation=None if base is None else "adapter" if has_adapters else "finetune",
        library_name="peft" if has_adapters else "transformers",
        pipeline_tag="image-text-to-text",
        datasets=_datasets(config) or None,
        tags=["phi3_v", "vision-language", "phitrain", config["strategy"]["kind"]],
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _opening(config: Values, *, merged: bool) -> str:
    base = config["model"]["name_or_path"]
    link = f"[{base}](https://huggingface.co/{_repository(config)})" if _repository(config) else _code(base)
    what = STRATEGIES[config["strategy"]["kind"]]
    end = ", merged into it" if merged else ""
    return f"{link}, fine-tuned by phitrain: {what}{end}."


def _facts(config: Values, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    train, strategy = config["train"], config["strategy"]
    facts = [("trained", STRATEGIES[strategy["kind"]])]
    if strategy["kind"] in ("lora", "qlora"):
        alpha = round(strategy["lora_rank"] * strategy["lora_alpha_ratio"])
        kind = ", ".join(name for name in ("dora", "rslora") if strategy[name])
        where = "language model" if strategy["freeze_vision"] else "language model and vision part"
        facts.append(("adapters", f"rank {strategy['lora_rank']}, alpha {alpha}{f', {kind}' if kind else ''}; {where}"))
    facts += _data_facts(config)
    facts.append(("steps", f"{summary['steps']:,} of {train['batch_size']} conversations each"))
    facts.append(("precision", f"{config['model']['precision']}, master weights and optimizer in fp32"))
    if {"first_loss", "last_loss"} <= summary.keys():
        first, last = loss_words(summary["first_loss"]), loss_words(summary["last_loss"])
        facts.append(("loss", f"{first} at the first step, {last} at the last"))
    return facts


def _data_facts(config: Values) -> list[tuple[str, str]]:
    """What the data folder is called, how many rows its splits have, where it came from: as far as it is there."""
    data = config["data"]
    try:
        name = open_folder(data["dir"]).name
    except PhidataError:
        name = Path(data["dir"]).name
    facts = [("data", f"{_code(name)}, trained on split {data['train_split']}")]
    splits = _manifest(config).get("splits", {})
    rows = ", ".join(f"{split} {ledger['written']:,}" for split, ledger in splits.items())
    sources = ", ".join(map(_code, _datasets(config)))
    return facts + [(head, text) for head, text in (("rows", rows), ("source", sources)) if text]


def _datasets(config: Values) -> list[str]:
    """The hub's ids of the data that the data folder was made of."""
    source = _manifest(config).get("source", {})
    return [str(value) for key, value in sorted(source.items()) if key.startswith("repo_id")]


def _manifest(config: Values) -> dict[str, Any]:
    path = Path(config["data"]["dir"]) / "manifest.json"
    return _read(path) if path.is_file() else {}


def _scores(evaluations: Mapping[str, Mapping[str, Any]], *, merged: bool) -> list[str]:
    rows = []
    for split, metric in _measured(evaluations):
        found = [document["splits"].get(split, {}) for document in evaluations.values()]
        num = next(str(each["num_turns"]) for each in found if metric in each.get("scores", {}))
        rows.append((split, metric, num, *(_score(each, metric) for each in found)))
    if not rows:
        return []
    note = "Greedy answers; in brackets the 95 % bootstrap interval of the mean, rows resampled."
    note += " Measured with the adapters beside the model, not merged into it." if merged else ""
    return ["## Scores", _table(("split", "metric", "answers", *evaluations), rows), note]


def _measured(evaluations: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(split, metric) of all evaluations, each once, in their order."""
    return list(
        dict.fromkeys(
            (name, metric)
            for document in evaluations.values()
            for name, split in document["splits"].items()
            for metric in split.get("scores", {})
        )
    )


def _score(split: Mapping[str, Any], metric: str) -> str:
    score = split.get("scores", {}).get(metric)
    return "" if score is None else f"{score['mean']:.4f} [{score['low']:.4f}, {score['high']:.4f}]"


def _loading(config: Values, folder: Path, *, has_adapters: bool) -> str:
    if not has_adapters:
        return (_OURS + _OTHERS if _has_published_tower(folder) else _OURS).strip()
    base = config["model"]["name_or_path"]
    in_four_bits = config["strategy"]["kind"] == "qlora"
    text = _ADAPTER.format(
        base=json.dumps(base, ensure_ascii=False),
        argument=shlex.quote(base),
        imports="\nfrom transformers import BitsAndBytesConfig" if in_four_bits else "",
        four_bits=_FOUR_BITS if in_four_bits else "",
        options=", quantization_config=four_bits" if in_four_bits else "",
    )
    return text.strip()


def _has_published_tower(folder: Path) -> bool:
    """The published code and vLLM know no other sizes of the vision tower."""
    path = folder / "config.json"
    return not path.is_file() or "vision_config" not in _read(path)


_OURS = """
With phitrain, here or as a hub id in place of `FOLDER`:

```python
import torch
from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VProcessor

model = Phi3VForCausalLM.from_pretrained("FOLDER", dtype=torch.bfloat16)
processor = Phi3VProcessor.from_pretrained("FOLDER")
```
"""
_OTHERS = """
With the published code, in transformers 4.40 to 4.48:

```python
import torch
from transformers import AutoModelForCausalLM, AutoProcessor

options = {"trust_remote_code": True, "torch_dtype": torch.bfloat16, "_attn_implementation": "eager"}
model = AutoModelForCausalLM.from_pretrained("FOLDER", **options)
processor = AutoProcessor.from_pretrained("FOLDER", trust_remote_code=True)
```

With vLLM:

```bash
vllm serve FOLDER --trust-remote-code --max-model-len 8192
```
"""
_ADAPTER = """
```python
import torch
from peft import PeftModel{imports}
from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VProcessor
{four_bits}
base = Phi3VForCausalLM.from_pretrained({base}, dtype=torch.bfloat16{options})
model = PeftModel.from_pretrained(base, "FOLDER")
processor = Phi3VProcessor.from_pretrained("FOLDER")
```

`phitrain eval FOLDER` scores it; `phitrain merge {argument} FOLDER OUT` makes a model of it that vLLM and the published code open.
"""  # noqa: E501 - a paragraph is one line
_FOUR_BITS = """
four_bits = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)
"""


def _fields(config: Values) -> Iterable[tuple[str, str]]:
    for section, values in config.items():
        for name, value in values.items():
            yield _code(f"{section}.{name}"), _code(json.dumps(value, ensure_ascii=False))


def _versions() -> str:
    found = [f"python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _code(text: str) -> str:
    """Text that no Markdown is read in."""
    return f"`{' '.join(text.split()).replace('`', chr(39))}`"


def _repository(config: Values) -> str | None:
    name: str = config["model"]["name_or_path"]
    return None if is_local(name) else name.partition("@")[0]


def _licence(base: str) -> str | None:
    """That of the base model, as it is published or as the card in its folder says."""
    if base.partition("@")[0] in LICENCES:
        return LICENCES[base.partition("@")[0]]
    card = Path(base) / CARD
    found = re.search(r"^license: *(\S+)$", card.read_text("utf-8"), re.MULTILINE) if card.is_file() else None
    return found[1] if found else None
