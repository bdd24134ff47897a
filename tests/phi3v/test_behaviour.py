"""What users rely on beyond the original's values: nothing changed in place or run in vain, batches equal singles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from phidata.errors import DataError
from phitrain.create import create_model_folder, model_config
from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VProcessor

PROMPTS = [
    "<|user|>\n<|image_1|>\nWhich?<|end|>\n<|assistant|>\n",
    "<|user|>\nHello there, say something<|end|>\n<|assistant|>\n",
]
PICTURES = [[Image.radial_gradient("L").resize((90, 60))], []]


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


def test_the_callers_ids_are_not_changed(module: Any, processor: Phi3VProcessor) -> None:
    inputs = processor(PROMPTS[0], PICTURES[0])
    before = inputs["input_ids"].clone()
    first = module(**inputs).logits
    assert torch.equal(inputs["input_ids"], before)
    assert torch.equal(module(**inputs).logits, first)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_a_padded_batch_gives_each_sample_what_it_gets_alone(
    tiny: Path, processor: Phi3VProcessor, attention: str
) -> None:
    module = Phi3VForCausalLM.from_pretrained(tiny, dtype=torch.float32, attn_implementation=attention)
    for side in ("left", "right"):
        batch = processor(PROMPTS, PICTURES, padding_side=side)
        positions = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
        together = module(**batch, position_ids=positions).logits
        for row, (prompt, pictures) in enumerate(zip(PROMPTS, PICTURES, strict=True)):
            alone = module(**(processor(prompt, pictures) if pictures else processor(prompt))).logits[0]
            real = batch["attention_mask"][row].bool()
            torch.testing.assert_close(together[row, real], alone, atol=2e-5, rtol=0)


@pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "nocache"])
def test_generating_a_left_padded_batch_equals_one_by_one(
    module: Any, processor: Phi3VProcessor, use_cache: bool
) -> None:
    options = {"max_new_tokens": 6, "do_sample": False, "use_cache": use_cache, "eos_token_id": 32000}
    batch = processor(PROMPTS, PICTURES, padding_side="left")
    together = module.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
    for row, (prompt, pictures) in enumerate(zip(PROMPTS, PICTURES, strict=True)):
        inputs = processor(prompt, pictures) if pictures else processor(prompt)
        alone = module.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :]
        assert together[row].tolist() == alone.tolist()


def test_a_batch_may_cross_the_rope_switch_in_one_row_only() -> None:
    """Each row keeps its own factors, and answers as it does alone, although the longer one changes them on its way."""
    config = model_config("tiny")
    config.original_max_position_embeddings, config.max_position_embeddings = 64, 2048
    torch.manual_seed(3)
    module = Phi3VForCausalLM(config).eval()
    rows = [torch.randint(5, 31000, (length,)) for length in (60, 30)]
    padded = torch.full((2, 60), 32000)
    mask = torch.zeros_like(padded)
    for row, ids in enumerate(rows):
        padded[row, -len(ids) :], mask[row, -len(ids) :] = ids, 1
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": 32000}
    together = module.generate(input_ids=padded, attention_mask=mask, **options)[:, 60:]
    for row, ids in enumerate(rows):
        alone = module.generate(input_ids=ids[None], attention_mask=torch.ones(1, len(ids)), **options)[0, len(ids) :]
        assert together[row].tolist() == alone.tolist()


def test_only_real_crops_go_through_the_tower_and_its_last_block_never_runs(module: Any, tiny: Path) -> None:
    many = Phi3VProcessor.from_pretrained(tiny, num_crops=16)
    inputs = many(PROMPTS[0], [Image.new("RGB", (5000, 300))])
    tower, seen = module.model.vision_embed_tokens.tower, []
    hooks = [
        tower.register_forward_pre_hook(lambda _module, arguments: seen.append(len(arguments[0]))),
        tower.encoder.layers[-1].register_forward_pre_hook(lambda *_: seen.append("last block")),
        tower.post_layernorm.register_forward_pre_hook(lambda *_: seen.append("last norm")),
    ]
    with torch.no_grad():
        padded = module(**inputs).logits
        trimmed = module(**many(PROMPTS[0], [Image.new("RGB", (5000, 300))], pad_crops=False)).logits
    for hook in hooks:
        hook.remove()
    assert inputs["pixel_values"].shape[1] == 17
    assert seen == [17, 17]  # 16 crops side by side and the global view: this picture needs them all
    assert torch.equal(padded, trimmed)


def test_a_small_picture_pays_for_its_own_crops_only(module: Any, tiny: Path) -> None:
    many = Phi3VProcessor.from_pretrained(tiny, num_crops=16)
    seen: list[int] = []
    hook = module.model.vision_embed_tokens.tower.register_forward_pre_hook(
        lambda _module, arguments: seen.append(len(arguments[0]))
    )
    with torch.no_grad():
        module(**many(PROMPTS[0], [Image.new("RGB", (300, 200))]))
    hook.remove()
    assert seen == [13]  # 4 x 3 crops and the global view, of 17 slots


def test_what_never_runs_is_named(module: Any) -> None:
    names = module.unused_parameter_names()
    assert len(names) == 18
    module.zero_grad()
    module(input_ids=torch.tensor([[1, 5, 6]]), labels=torch.tensor([[1, 5, 6]])).loss.backward()
    assert all(module.get_parameter(name).grad is None for name in names)
    module.zero_grad()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_come_in_one_order_with_images_and_without(
    tiny: Path, processor: Phi3VProcessor, checkpointing: bool
) -> None:
    """Ranks reduce gradients as they come: another order would add up gradients of different parameters."""
    module = Phi3VForCausalLM.from_pretrained(tiny, dtype=torch.float32).train()
    if checkpointing:
        module.enable_checkpointing()
    order: list[str] = []
    for name, parameter in module.named_parameters():
        parameter.register_post_accumulate_grad_hook(lambda _parameter, name=name: order.append(name))
    shown, text = processor(PROMPTS[0], PICTURES[0]), processor(PROMPTS[1])
    orders, losses = [], []
    for inputs in (shown, {**text, "idle_tower": True}, text):
        module.zero_grad()
        order.clear()
        loss = module(**inputs, labels=inputs["input_ids"].clamp(min=5)).loss
        loss.backward()
        orders.append(list(order))
        losses.append(float(loss.detach()))
    assert orders[0] == orders[1]
    assert len(orders[2]) < len(orders[1])
    assert losses[1] == losses[2]


def test_packed_rows_do_not_see_each_other(module: Any) -> None:
    one, two = torch.tensor([[1, 300, 400, 500]]), torch.tensor([[1, 900, 700]])
    positions = torch.cat([torch.arange(4), torch.arange(3)])[None]
    packed = module(input_ids=torch.cat([one, two], 1), position_ids=positions, use_cache=False).logits
    torch.testing.assert_close(packed[:, :4], module(input_ids=one).logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[:, 4:], module(input_ids=two).logits, atol=1e-5, rtol=0)


def test_the_loss_without_logits_is_the_loss(module: Any) -> None:
    ids = torch.tensor([[1, 300, 400, 500, 600], [1, 9, 8, 32000, 32000]])
    mask = torch.tensor([[1] * 5, [1, 1, 1, 0, 0]])
    labels = torch.where(mask.bool(), ids, -100)
    whole = module(input_ids=ids, attention_mask=mask, labels=labels)
    short = module(input_ids=ids, attention_mask=mask, labels=labels, return_logits=False)
    assert short.logits is None
    torch.testing.assert_close(short.loss, whole.loss)
    total = module(input_ids=ids, attention_mask=mask, labels=labels, loss_reduction="sum").loss
    torch.testing.assert_close(total / 6, whole.loss)  # six labels have a token before them
    by_count = module(input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=3).loss
    torch.testing.assert_close(by_count, total / 3)


def changed(inputs: Any, **values: Tensor | None) -> dict[str, Any]:
    return {name: value for name, value in {**inputs, **values}.items() if value is not None}


def test_marks_and_images_that_do_not_agree_are_refused(module: Any, processor: Phi3VProcessor) -> None:
    inputs = processor(PROMPTS[0], PICTURES[0])
    ids = inputs["input_ids"]
    cases = [
        (changed(inputs, pixel_values=None, image_sizes=None), "not both given"),
        (changed(inputs, input_ids=ids.clamp(min=5)), "no position of input_ids is marked"),
        (changed(inputs, input_ids=torch.where(ids < 0, -2, ids)), "must be numbered 1 to 1"),
        (changed(inputs, image_sizes=torch.tensor([[672, 336]])), "makes 469 rows"),
        (changed(inputs, input_ids=torch.cat([ids, ids], 1), attention_mask=None), "twice"),
        (changed(inputs, pixel_values=inputs["pixel_values"][:, :1]), "pixel_values holds 1"),
    ]
    for arguments, message in cases:
        with pytest.raises(DataError, match=message):
            module(**arguments)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("attention", ["sdpa", "flash_attention_2"])
def test_fused_attention_equals_eager_on_a_gpu(tiny: Path, processor: Phi3VProcessor, attention: str) -> None:
    batch = processor(PROMPTS, PICTURES, padding_side="right").to("cuda")
    logits = []
    for implementation in ("eager", attention):
        module = Phi3VForCausalLM.from_pretrained(tiny, dtype=torch.bfloat16, attn_implementation=implementation)
        with torch.no_grad():
            logits.append(module.to("cuda")(**batch).logits[batch["attention_mask"].bool()])
    torch.testing.assert_close(logits[0], logits[1], atol=5e-2, rtol=0)
