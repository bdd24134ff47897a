"""The model card: what the hub reads, what people read, and code in it that runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from phidata.errors import DataError
from phitrain.card import read_run, write_card
from phitrain.commands.train import summary_line
from phitrain.config import config_from

from .tuned import PEFT_WARNS, save_tuned, tuned


def config(base: str, data: Path, **strategy: Any) -> dict[str, Any]:
    model = {"name_or_path": base, "precision": "bf16"}
    train = {"batch_size": 64}
    return config_from({"model": model, "strategy": strategy, "data": {"dir": str(data)}, "train": train}).as_dict()


def evaluation(mean: float, low: float, high: float) -> dict[str, Any]:
    score = {"mean": mean, "low": low, "high": high}
    return {"metrics": ["anls"], "splits": {"val": {"num_rows": 3, "num_turns": 4, "scores": {"anls": score}}}}


def card(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Front matter and the lines below it."""
    _, front, text = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(front), text.splitlines()


SUMMARY = {"steps": 1234, "first_loss": 3.21, "last_loss": 0.1}


def test_the_hub_learns_base_licence_library_and_data(tmp_path: Path) -> None:
    manifest = {"source": {"kind": "hub", "repo_id": "lmms-lab/DocVQA"}, "splits": {"train": {"written": 39463}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    base = "microsoft/Phi-3.5-vision-instruct"
    write_card(tmp_path, config(base, tmp_path, kind="lora"), SUMMARY, {})
    expected = {
        "license": "mit",
        "base_model": base,
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": "image-text-to-text",
        "datasets": ["lmms-lab/DocVQA"],
        "tags": ["phi3_v", "vision-language", "phitrain", "lora"],
    }
    assert card(tmp_path)[0] == expected
    write_card(tmp_path, config(base, tmp_path, kind="lora"), SUMMARY, {}, merged=True)
    assert card(tmp_path)[0] == {**expected, "base_model_relation": "finetune", "library_name": "transformers"}


def test_a_base_in_a_folder_is_no_name_on_the_hub(tmp_path: Path) -> None:
    write_card(tmp_path, config(str(tmp_path), tmp_path), SUMMARY, {})
    assert card(tmp_path)[0].keys() == {"library_name", "pipeline_tag", "tags"}


def test_the_licence_of_a_base_folder_is_what_its_card_says(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    write_card(tmp_path, config(str(base), tmp_path), SUMMARY, {})
    assert card(tmp_path)[0]["license"] == "apache-2.0"


def test_people_learn_what_was_trained_on_what(tmp_path: Path, data_folder: Path) -> None:
    strategy = {"kind": "qlora", "lora_rank": 32, "lora_alpha_ratio": 0.5, "dora": True, "freeze_vision": True}
    write_card(tmp_path, config("microsoft/Phi-3-vision-128k-instruct", data_folder, **strategy), SUMMARY, {})
    lines = card(tmp_path)[1]
    assert lines[1] == f"# {tmp_path.name}"
    for line in (
        "| trained | LoRA adapters on a base model in four bits (QLoRA, NF4 with double quantisation) |",
        "| adapters | rank 32, alpha 16, dora; language model |",
        "| data | `colours`, trained on split train |",
        "| steps | 1,234 of 64 conversations each |",
        "| precision | bf16, master weights and optimizer in fp32 |",
        "| loss | 3.2100 at the first step, 0.1000 at the last |",
        "| `strategy.lora_rank` | `32` |",
    ):
        assert line in lines
    assert re.match(r"python \d.*, phidata-vision \d.*, torch \d.*, transformers \d", lines[-1])


def test_a_loss_that_was_not_finite_is_no_number(tmp_path: Path, data_folder: Path) -> None:
    write_card(tmp_path, config("a/b", data_folder), {**SUMMARY, "last_loss": None}, {})
    assert "| loss | 3.2100 at the first step, not finite at the last |" in card(tmp_path)[1]
    summary = {"output_dir": "o", "steps": 2, "seconds": 3, "first_loss": None, "last_loss": None, "tokens_per_s": 4}
    assert (
        summary_line({**summary, "skipped_steps": 2})
        == "2 steps, 2 of them skipped in 3 s, loss not finite to not finite, 4 tokens/s; model in o"
    )


def test_scores_stand_side_by_side_with_their_intervals(tmp_path: Path) -> None:
    evaluations = {"before": evaluation(0.25, 0.1, 0.5), "after": evaluation(0.75, 0.5, 0.875)}
    write_card(tmp_path, config("m/m", tmp_path), SUMMARY, evaluations)
    lines = card(tmp_path)[1]
    at = lines.index("## Scores")
    assert lines[at + 2 : at + 5] == [
        "| split | metric | answers | before | after |",
        "| --- | --- | --- | --- | --- |",
        "| val | anls | 4 | 0.2500 [0.1000, 0.5000] | 0.7500 [0.5000, 0.8750] |",
    ]


def test_names_do_not_become_markdown(tmp_path: Path) -> None:
    write_card(tmp_path, config(str(tmp_path / "a|b`c\n# d"), tmp_path / "x|y"), SUMMARY, {})
    lines = card(tmp_path)[1]
    assert "| data | `x\\|y`, trained on split train |" in lines
    assert not any(line.startswith("# d") for line in lines)


def test_the_files_of_a_run_are_read_in_order(tmp_path: Path) -> None:
    assert read_run(tmp_path) is None
    for name in ("after", "before", "step_100", "step_20"):
        (tmp_path / f"eval_{name}.json").write_text(json.dumps(evaluation(0.5, 0, 1)))
    (tmp_path / "train_config.json").write_text(json.dumps({"model": {}}))
    assert read_run(tmp_path) is None  # it has not ended
    (tmp_path / "train_summary.json").write_text(json.dumps(SUMMARY))
    whole, part = read_run(tmp_path), read_run(tmp_path, step=20)
    assert whole is not None
    assert part is not None
    assert (list(whole.evaluations), whole.summary) == (["before", "step 20", "step 100", "after"], SUMMARY)
    assert (list(part.evaluations), part.summary) == (["before", "step 20"], {"steps": 20})
    (tmp_path / "train_summary.json").write_text("{")
    with pytest.raises(DataError, match=r"train_summary\.json is damaged"):
        read_run(tmp_path)


def test_only_models_of_the_published_sizes_are_for_the_published_code_and_vllm(tmp_path: Path) -> None:
    for values, is_published in (({"hidden_size": 64}, True), ({"vision_config": {"hidden_size": 32}}, False)):
        (tmp_path / "config.json").write_text(json.dumps(values))
        write_card(tmp_path, config("m/m", tmp_path), SUMMARY, {})
        text = (tmp_path / "README.md").read_text()
        assert "from phitrain.models.phi3v import Phi3VForCausalLM" in text
        assert ("trust_remote_code" in text, "vllm serve" in text) == (is_published, is_published)


@PEFT_WARNS
@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_the_cards_own_code_loads_the_adapters(kind: str, model_folder: Path, tmp_path: Path) -> None:
    save_tuned(*tuned(model_folder, kind), tmp_path)
    write_card(tmp_path, config(str(model_folder), tmp_path, kind=kind), SUMMARY, {})
    code = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    assert len(code) == 1
    names: dict[str, Any] = {}
    exec(code[0].replace("FOLDER", str(tmp_path)), names)
    assert type(names["model"]).__name__ == "PeftModelForCausalLM"
    layer = names["base"].model.layers[0].mlp.down_proj.base_layer
    assert type(layer).__name__ == ("Linear4bit" if kind == "qlora" else "Linear")
