"""Cosine and sine of both published configurations, short and long factors."""

from __future__ import annotations

import pytest
import torch
from conftest import Close

from phitrain.models.phi3v import Phi3VConfig
from phitrain.models.phi3v.modeling import Phi3VRotaryEmbedding

from .golden import read, tensors


@pytest.mark.parametrize("length", ["short", "long"])
@pytest.mark.parametrize("model", ["phi3_vision", "phi35_vision"])
def test_cosine_and_sine_are_the_published_ones(model: str, length: str, close: Close) -> None:
    config = Phi3VConfig.from_dict(read(f"hub_configs/{model}/config.json"))
    rotary = Phi3VRotaryEmbedding(config.get_text_config())
    positions = read("rope/rope.json")[f"{model}.{length}.positions"]
    last = 131072 if length == "long" else 4096
    found = rotary(torch.zeros(1), torch.arange(last)[None])
    for name, values in zip(("cos", "sin"), found, strict=True):
        close(
            "cosine and sine",
            values[0, positions],
            tensors("rope/rope.safetensors")[f"{model}.{length}.{name}"],
            atol=2e-6,
        )


def test_a_samples_factors_do_not_depend_on_its_neighbours() -> None:
    config = Phi3VConfig.from_dict(read("hub_configs/phi35_vision/config.json"))
    rotary = Phi3VRotaryEmbedding(config.get_text_config())
    short, long = torch.arange(20), torch.arange(5000)
    alone = rotary(torch.zeros(1), short[None])[0][0]
    packed = rotary(torch.zeros(1), torch.cat([short, long, short])[None])[0][0]
    assert torch.equal(packed[:20], alone)
    assert torch.equal(packed[-20:], alone)
    assert torch.equal(packed[20:-20], rotary(torch.zeros(1), long[None])[0][0])
    assert not torch.equal(packed[20:40], alone)


def test_frequencies_survive_a_cast_to_bfloat16() -> None:
    config = Phi3VConfig.from_dict(read("hub_configs/phi35_vision/config.json"))
    positions = torch.arange(4000)[None]
    exact = Phi3VRotaryEmbedding(config.get_text_config())(torch.zeros(1), positions)[0]
    cast = Phi3VRotaryEmbedding(config.get_text_config()).bfloat16()(torch.zeros(1), positions)[0]
    assert torch.equal(cast, exact)
