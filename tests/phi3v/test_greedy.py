"""Greedy answers of a batch: the library's own, whatever their neighbours; in step, the same modules at every step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor

from phitrain.create import create_model_folder, model_config
from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VProcessor
from phitrain.models.phi3v.greedy import greedy

SHOWN = ("<|user|>\n<|image_1|>\nWhich?<|end|>\n<|assistant|>\n", [Image.radial_gradient("L").resize((90, 60))])
TEXT = ("<|user|>\nHello there, say something<|end|>\n<|assistant|>\n", [])
TOKENS = 6


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    create_model_folder(folder, "tiny")
    return folder


@pytest.fixture(scope="module")
def processor(tiny: Path) -> Phi3VProcessor:
    return Phi3VProcessor.from_pretrained(tiny, num_crops=2)


@pytest.fixture(scope="module")
def module(tiny: Path) -> Any:
    return Phi3VForCausalLM.from_pretrained(tiny, dtype=torch.float32, attn_implementation="sdpa")


@pytest.fixture(scope="module")
def one_rank() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def answers(module: Any, inputs: Any, **options: Any) -> list[list[int]]:
    images = {name: inputs[name] for name in ("pixel_values", "image_sizes") if name in inputs}
    options = {"max_new_tokens": TOKENS, "stops": (32000,), **options}
    return greedy(module, inputs["input_ids"], inputs["attention_mask"], images, **options)


def batch_of(processor: Phi3VProcessor, *asked: tuple[str, list[Image.Image]]) -> Any:
    if not any(pictures for _, pictures in asked):
        return processor([prompt for prompt, _ in asked], padding_side="left")
    return processor([prompt for prompt, _ in asked], [pictures for _, pictures in asked], padding_side="left")


def crossing(limit: int) -> Any:
    """A model whose long factors begin after `limit` positions."""
    config = model_config("tiny")
    config.original_max_position_embeddings, config.max_position_embeddings = limit, 2048
    torch.manual_seed(3)
    return Phi3VForCausalLM(config).eval()


def padded(*lengths: int) -> dict[str, Tensor]:
    """Rows of random text of these lengths, padded on the left."""
    generator = torch.Generator().manual_seed(5)
    inputs = {name: torch.full((len(lengths), max(lengths)), fill) for name, fill in PADDING.items()}
    for row, length in enumerate(lengths):
        inputs["input_ids"][row, -length:] = torch.randint(5, 31000, (length,), generator=generator)
        inputs["attention_mask"][row, -length:] = 1
    return inputs


PADDING = {"input_ids": 32000, "attention_mask": 0}


def alone(inputs: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    real = inputs["attention_mask"][row].bool()
    return {name: tensor[row : row + 1, real] for name, tensor in inputs.items()}


def tower_calls(module: Any, inputs: Any, **options: Any) -> int:
    calls: list[int] = []
    hook = module.model.vision_embed_tokens.tower.register_forward_hook(lambda *_: calls.append(1))
    answers(module, inputs, **options)
    hook.remove()
    return len(calls)


def test_a_batch_answers_as_the_librarys_own_search_does(module: Any, processor: Phi3VProcessor) -> None:
    options = {"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": 32000}
    for asked in ((SHOWN, TEXT), (TEXT, SHOWN, SHOWN), (TEXT,), (SHOWN,)):
        inputs = batch_of(processor, *asked)
        expected = module.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
        assert answers(module, inputs) == expected.tolist()


def test_an_answer_ends_before_its_first_stop(module: Any, processor: Phi3VProcessor) -> None:
    inputs = batch_of(processor, SHOWN, TEXT)
    first, second = answers(module, inputs)
    assert len(first) == len(second) == TOKENS
    at = next(place for place, token in enumerate(first) if token not in second)
    assert answers(module, inputs, stops=(first[at],)) == [first[: first.index(first[at])], second]
    assert answers(module, inputs, stops=(first[0], second[0])) == [[], []]


@pytest.mark.parametrize("lengths", [(60, 30), (64, 63, 62), (65, 60), (70, 3)])
def test_rows_outgrow_the_short_factors_each_for_itself(lengths: tuple[int, ...]) -> None:
    module, inputs = crossing(64), padded(*lengths)
    together = answers(module, inputs, max_new_tokens=12)
    assert together == [answers(module, alone(inputs, row), max_new_tokens=12)[0] for row in range(len(lengths))]


def test_a_finished_row_outgrows_nothing() -> None:
    module, inputs = crossing(64), padded(62, 30)
    free = answers(module, inputs, max_new_tokens=12)
    assert free[0][0] not in free[1]
    passes = []
    hook = module.model.register_forward_pre_hook(
        lambda _module, _arguments, options: passes.append(options["inputs_embeds"].shape[1]), with_kwargs=True
    )
    assert answers(module, inputs, max_new_tokens=12, stops=(free[0][0],)) == [[], free[1]]
    hook.remove()
    assert passes == [62] + [1] * 11


@pytest.mark.usefixtures("one_rank")
def test_in_step_the_tower_runs_at_every_prompt_and_at_no_other_step(module: Any, processor: Phi3VProcessor) -> None:
    shown, text = batch_of(processor, SHOWN, TEXT), batch_of(processor, TEXT)
    assert [tower_calls(module, inputs) for inputs in (shown, text)] == [1, 0]
    assert [tower_calls(module, inputs, synced=True) for inputs in (shown, text)] == [1, 1]
    assert answers(module, text, synced=True) == answers(module, text)


@pytest.mark.usefixtures("one_rank")
def test_in_step_the_tower_runs_again_where_a_row_outgrows_the_short_factors() -> None:
    module = crossing(64)
    assert tower_calls(module, padded(60, 30), max_new_tokens=12, synced=True) == 2
    assert tower_calls(module, padded(70, 30), max_new_tokens=12, synced=True) == 1


@pytest.mark.usefixtures("one_rank")
def test_in_step_a_rank_goes_on_from_its_cache_while_another_starts_anew(
    module: Any, processor: Phi3VProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other rank outgrows the short factors after its third token, and needs two tokens more than this one."""
    expected = answers(module, batch_of(processor, TEXT))[0]
    steps = []

    def another(flags: Tensor, op: Any) -> None:
        assert op == dist.ReduceOp.MAX
        steps.append(flags.tolist())
        flags |= torch.tensor([len(steps) < 5, len(steps) == 3], dtype=flags.dtype)

    monkeypatch.setattr(dist, "all_reduce", another)
    calls = tower_calls(module, batch_of(processor, TEXT), stops=(expected[2],), synced=True)
    assert (calls, len(steps)) == (2, 5)
    assert steps == [[1, 0], [1, 0], [0, 0], [0, 0], [0, 0]]
