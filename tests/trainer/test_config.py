"""Configuration: recipes, layers, refusals that name the remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from phidata.errors import UsageError
from phitrain.config import config_from, read_setting
from phitrain.recipes import read_recipe
from phitrain.resolve import fit_schedule


def test_a_saved_configuration_reads_back_equal() -> None:
    config = config_from(read_recipe("ucf101"), {"train": {"max_steps": 7}}, {"eval": {"splits": ["val"]}})
    assert config_from(json.loads(json.dumps(config.as_dict()))) == config


def test_later_layers_win() -> None:
    config = config_from({"train": {"seed": 1, "zero": 2}}, {"train": {"seed": 3}})
    assert (config.train.seed, config.train.zero) == (3, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("train.seed=5", {"train": {"seed": 5}}),
        ("model.attention=eager", {"model": {"attention": "eager"}}),
        ('eval.splits=["val"]', {"eval": {"splits": ["val"]}}),
        ("optimizer.eps=1e-8", {"optimizer": {"eps": 1e-8}}),
    ],
)
def test_a_setting_is_toml_or_text(text: str, value: dict[str, Any]) -> None:
    assert read_setting(text) == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trian": {}}, "no configuration section 'trian'; did you mean 'train'?"),
        ({"train": {"batchsize": 1}}, "no field 'batchsize' in section 'train'; did you mean 'batch_size'?"),
        ({"train": {"seed": "x"}}, "train.seed must be a whole number, found 'x'"),
        ({"train": {"seed": True}}, "train.seed must be a whole number, found True"),
        ({"train": {"zero": 4}}, "train.zero is 4; it must be one of 0, 1, 2, 3"),
        ({"train": {"offload": "parameters"}}, "--offload parameters needs --zero 3, found --zero 1; use --zero 3"),
        ({"train": {"save_total_limit": 2}}, "--save_total_limit is given without --save_steps"),
        (
            {"strategy": {"kind": "lra"}},
            "strategy.kind is 'lra'; it must be one of full, frozen-vision, lora, qlora; did you mean 'lora'?",
        ),
        ({"strategy": {"dora": True}}, "strategy.dora concerns lora and qlora, found strategy.kind full"),
        (
            {"strategy": {"kind": "lora", "lora_rank": 1, "lora_alpha_ratio": 0.25}},
            "--lora_rank 1 times --lora_alpha_ratio 0.25 is an alpha of 0.25, which is rounded to 0",
        ),
        ({"train": {"batch_size": 0}}, "train.batch_size is 0; it must be at least 1"),
        ({"train": 3}, "configuration section 'train' must be a table"),
        ({"model": {"precision": "fp8"}}, "model.precision is 'fp8'; it must be one of auto, bf16, fp16, fp32"),
        ({"model": {"attention": "flash"}}, "must be one of auto, eager, sdpa, flash_attention_2"),
        ({"optimizer": {"betas": [0.9]}}, "optimizer.betas must be a list of 2 values"),
        ({"optimizer": {"learning_rate": 0}}, "optimizer.learning_rate is 0.0; it must be a number above 0"),
        ({"optimizer": {"betas": [0.9, 1.5]}}, "optimizer.betas is 1.5; it must be at least 0 and below 1"),
        ({"optimizer": {"weight_decay": -0.1}}, "optimizer.weight_decay is -0.1; it must be 0 or more, and finite"),
        (
            {"optimizer": {"weight_decay": float("nan")}},
            "optimizer.weight_decay is nan; it must be 0 or more, and finite",
        ),
        ({"train": {"seed": 2**64}}, "train.seed is 18446744073709551616; it must be at most 9223372036854775807"),
        ({"eval": {"splits": "val,test"}}, r"""must be a list, found 'val,test'; write \["val", "test"\]"""),
    ],
)
def test_a_wrong_value_is_refused_with_the_remedy(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        config_from(values)


@pytest.mark.parametrize(("total", "warmup"), [(1, 0), (2, 1), (30, 3), (50, 5), (51, 50)])
def test_a_short_run_warms_up_for_a_tenth_and_never_for_all_of_it(total: int, warmup: int) -> None:
    assert fit_schedule(config_from(), total)[0].optimizer.warmup_steps == warmup
