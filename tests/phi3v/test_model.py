"""The tiny models, value by value as the original code computes them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Close
from torch import Tensor, nn

from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VImageProcessor

from .golden import Case, cases, has_vocabulary, image, read, stacked_crops, tensors

MODELS = ("tiny_gqa", "tiny_mha")
SLOTS = 3  # crop slots of tiny_gqa's images
ATOL = 2e-4
WHOLE = [model for model in MODELS if has_vocabulary(model)]


def load(folder: Path, *, attention: str = "eager", dtype: torch.dtype = torch.float32, **config: Any) -> Any:
    return Phi3VForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention, **config)


def named(models: tuple[str, ...] | list[str] = MODELS) -> list[Any]:
    return [pytest.param(model, case, id=f"{model}-{case['name']}") for model in models for case in cases(model)]


@cache
def pixels_of(model: str, name: str) -> Tensor | None:
    """The crops of a case's pictures; a batch of tiny_mha names the cases it is made of."""
    case = next(case for case in read(f"{model}/cases.json") if case["name"] == name)
    if model == "tiny_gqa":
        return stacked_crops(case["images"], SLOTS) if case["images"] else None
    if "members" in case:
        parts = [pixels for member in case["members"] if (pixels := pixels_of(model, member)) is not None]
        return torch.cat(parts)
    if not case["images"]:
        return None
    pictures = [image(model, picture) for picture in case["images"]]
    return Phi3VImageProcessor(case["num_crops"])(pictures)["pixel_values"]


def inputs_of(model: str, case: Case) -> dict[str, Tensor]:
    ids = torch.tensor(case["input_ids"])
    inputs = {"input_ids": ids, "attention_mask": mask_of(case, ids)}
    if "position_ids" in case:
        inputs["position_ids"] = torch.tensor(case["position_ids"])
    if (pixels := pixels_of(model, case["name"])) is not None:
        inputs |= {"pixel_values": pixels, "image_sizes": torch.tensor(case["image_sizes"])}
    return inputs


def mask_of(case: Case, ids: Tensor) -> Tensor:
    if "attention_mask_rows" in case:
        return torch.tensor(case["attention_mask_rows"])
    if "attention_mask_sum" not in case:
        return torch.ones_like(ids)
    if case["name"].endswith("_msmask"):
        return (ids != 32000).long()
    return (torch.arange(ids.shape[1]) < torch.tensor(case["attention_mask_sum"])[:, None]).long()


def configured(case: Case) -> dict[str, Any]:
    return dict(case.get("config_override") or {})


class Watch:
    """Takes what a module puts out (or, before it, what goes in) during a forward pass."""

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}

    def after(self, name: str, module: nn.Module) -> None:
        module.register_forward_hook(lambda _module, _inputs, output: self.seen.update({name: output}))

    def before(self, name: str, module: nn.Module) -> None:
        module.register_forward_pre_hook(lambda _module, inputs: self.seen.update({name: inputs[0]}))


def watched(model: Any) -> Watch:
    watch = Watch()
    watch.before("inputs_embeds", model.model.layers[0])
    watch.after("clip_features", model.model.vision_embed_tokens.tower)
    watch.after("img_projected", model.model.vision_embed_tokens)
    watch.after("hidden", model.model.norm)
    return watch


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("model", "case"), named())
def test_a_forward_pass_gives_the_original_values(
    folders: dict[str, Path], model: str, case: Case, attention: str, close: Close
) -> None:
    module = load(folders[model], attention=attention, **configured(case))
    watch, inputs, stride = watched(module), inputs_of(model, case), case["stride"]
    with torch.no_grad():
        output = module(**inputs)
    golden, rows = values_of(model, case), torch.arange(len(inputs["input_ids"]))
    real = inputs["attention_mask"].bool()
    kept, last = real[:, ::stride], torch.tensor(case["last_index"])
    close(f"{model} hidden", watch.seen["hidden"][:, ::stride][kept], golden["hidden"][kept], atol=ATOL)
    close(f"{model} hidden", watch.seen["hidden"][rows, last], golden["hidden_last"], atol=ATOL)
    scale = golden["inputs_embeds"].abs().max()  # image rows are up to 4000 here, words 3
    found = watch.seen["inputs_embeds"][:, ::stride][kept] / scale
    close(f"{model} inputs_embeds (relative)", found, golden["inputs_embeds"][kept] / scale, atol=1e-5)
    if "pixel_values" in inputs:
        projected = watch.seen["img_projected"][::stride]
        close(f"{model} img_projected (relative)", projected / scale, golden["img_projected"] / scale, atol=1e-5)
        crops = real_slots(case["image_sizes"], inputs["pixel_values"].shape[1])
        expected = golden["clip_features"][crops]  # up to 120; the original's own rounding error is 2e-5 of that
        scale = expected.abs().max()
        found = watch.seen["clip_features"][:, ::48] / scale
        close(f"{model} clip_features (relative)", found, expected / scale, atol=1e-5)
    if has_vocabulary(model):
        close(f"{model} logits", output.logits.logsumexp(-1)[real], golden["logsumexp"][real], atol=ATOL)
        if "logits_last" in golden:
            close(f"{model} logits", output.logits[rows, last], golden["logits_last"], atol=ATOL)
        if "logits" in golden:
            step = case["logits_stride"]
            seen = real[:, ::step]
            close(f"{model} logits", output.logits[:, ::step][seen], golden["logits"][seen], atol=ATOL)


def values_of(model: str, case: Case) -> dict[str, Tensor]:
    prefix = f"{case['name']}."
    outputs = tensors(f"{model}/outputs.safetensors")
    names = {key: key.removeprefix(prefix) for key in outputs if key.startswith(prefix)}
    return {name: outputs[key] for key, name in names.items() if "." not in name}


def real_slots(sizes: list[list[int]], slots: int) -> list[int]:
    """Which crop slots hold a picture."""
    counts = [1 + height * width // 336**2 for height, width in sizes]
    return [number * slots + crop for number, count in enumerate(counts) for crop in range(count)]


@pytest.mark.parametrize(("model", "case"), named(WHOLE))
def test_loss_and_gradients_are_the_original_ones(
    folders: dict[str, Path], model: str, case: Case, close: Close
) -> None:
    module = load(folders[model], **configured(case)).train()
    output = module(**inputs_of(model, case), labels=torch.tensor(case["labels"]))
    output.loss.backward()
    compare_gradients(module, output.loss, model, case, close)


@pytest.mark.parametrize("model", WHOLE)
def test_checkpointing_changes_no_gradient(folders: dict[str, Path], model: str, close: Close) -> None:
    case = next(case for case in cases(model) if case["images"])
    module = load(folders[model]).train()
    module.enable_checkpointing()
    calls = []
    module.model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append("decoder"))
    tower = module.model.vision_embed_tokens.tower
    tower.encoder.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append("tower"))
    output = module(**inputs_of(model, case), labels=torch.tensor(case["labels"]))
    output.loss.backward()
    assert calls == ["tower", "decoder", "decoder", "tower"]  # each runs again in the backward pass
    compare_gradients(module, output.loss, model, case, close)


def compare_gradients(module: Any, loss: Tensor, model: str, case: Case, close: Close) -> None:
    close(f"{model} loss (relative)", loss / case["loss"], torch.tensor(1.0), atol=1e-5)
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    without = {name for name, norm in case["grad_norms"].items() if norm is None}
    assert {name for name, gradient in gradients.items() if gradient is None} == without
    for name, norm in case["grad_norms"].items():
        if norm is not None and norm > 1e-4:
            relative = gradients[name].norm() / norm
            close(f"{model} gradient norms (relative)", relative, torch.tensor(1.0), atol=1e-3)
    prefix = f"{case['name']}|"
    for key, expected in tensors(f"{model}/grads.safetensors").items():
        if key.startswith(prefix):
            scale = expected.abs().max()
            found = gradients[key.removeprefix(prefix)]
            close(f"{model} gradients (relative)", found / scale, expected / scale, atol=1e-3)


def test_bfloat16_stays_close(folders: dict[str, Path], close: Close) -> None:
    for case in cases("tiny_mha", dtype="bfloat16"):
        # The values were made with fused attention in the CLIP tower, whose rounding differs from eager attention's.
        module = load(folders["tiny_mha"], dtype=torch.bfloat16, attention="sdpa")
        watch, inputs = watched(module), inputs_of("tiny_mha", case)
        with torch.no_grad():
            output = module(**inputs | {"pixel_values": inputs["pixel_values"].bfloat16()})
        golden = values_of("tiny_mha", case)
        close("bfloat16 hidden", watch.seen["hidden"][:, :: case["stride"]].float(), golden["hidden"], atol=5e-2)
        if has_vocabulary("tiny_mha"):
            close("bfloat16 logits", output.logits.logsumexp(-1), golden["logsumexp"], atol=5e-2)


def test_generation_follows_the_original(folders: dict[str, Path]) -> None:
    """Greedy answers of tiny_mha, cached, and the scores of the three best tokens of each step."""
    if not has_vocabulary("tiny_mha"):
        assert read("tiny_mha/generate.json") == []  # the cut keeps none: tiny_gqa's generation is checked below
    for case in read("tiny_mha/generate.json"):
        module, processed = load(folders["tiny_mha"]), next(c for c in cases("tiny_mha") if c["name"] == case["case"])
        inputs = inputs_of("tiny_mha", processed)
        prompt = prompt_length(processed)
        inputs = {k: v[:, :prompt] if k in ("input_ids", "attention_mask") else v for k, v in inputs.items()}
        options = {"do_sample": False, "output_logits": True, "return_dict_in_generate": True, "eos_token_id": 32000}
        found = module.generate(**inputs, max_new_tokens=case["max_new_tokens"], **options)
        assert found.sequences[0, prompt:].tolist() == case["new_tokens"]
        for logits, ids, scores in zip(found.logits, case["top3_ids"], case["top3_scores"], strict=True):
            best = logits[0].topk(3)
            assert best.indices.tolist() == ids
            assert best.values.tolist() == pytest.approx(scores, abs=ATOL)


def prompt_length(case: Case) -> int:
    return next(at for at, label in enumerate(case["labels"][0]) if label != -100)


@pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "nocache"])
def test_generation_across_the_rope_switch_follows_phi35(
    folders: dict[str, Path], use_cache: bool, close: Close
) -> None:
    listed = read("tiny_gqa/generate.json")
    case = next(c for c in listed if c.get("revision") == "phi35" and c["use_cache"] == use_cache)
    ids = torch.tensor(next(c["input_ids"] for c in listed if isinstance(c.get("input_ids"), list)))
    options = {"do_sample": False, "output_logits": True, "return_dict_in_generate": True, "eos_token_id": 501}
    found = load(folders["tiny_gqa"]).generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=14, use_cache=use_cache, **options
    )
    assert found.sequences[0, case["prompt_len"] :].tolist() == case["new_tokens"]
    name = f"generate_switch_phi35_{'cache' if use_cache else 'nocache'}.scores"
    close("generation scores", torch.cat(found.logits), tensors("tiny_gqa/outputs.safetensors")[name], atol=ATOL)


def test_generation_with_an_image_follows_the_original(folders: dict[str, Path]) -> None:
    case = next(c for c in read("tiny_gqa/generate.json") if c.get("case"))
    forward = next(c for c in cases("tiny_gqa") if c["name"] == case["case"])
    inputs, prompt = inputs_of("tiny_gqa", forward), case["prompt_len"]
    inputs |= {name: inputs[name][:, :prompt] for name in ("input_ids", "attention_mask")}
    options = {"do_sample": False, "use_cache": case["use_cache"], "eos_token_id": 501}
    found = load(folders["tiny_gqa"]).generate(**inputs, max_new_tokens=len(case["new_tokens"]), **options)
    assert found[0, prompt:].tolist() == case["new_tokens"]


def test_images_stand_where_their_number_says(folders: dict[str, Path], close: Close) -> None:
    """The original fills marks in reading order whatever their number; here image k goes to its mark."""
    module = load(folders["tiny_gqa"]).requires_grad_(False)
    watch = watched(module)
    alone = {}
    for index, size, tokens in ((0, [336, 336], 313), (1, [336, 672], 457)):
        ids = torch.tensor([[1] + [-1] * tokens])
        module(input_ids=ids, pixel_values=stacked_crops([index], SLOTS), image_sizes=torch.tensor([size]))
        alone[index] = watch.seen["img_projected"]
    ids = torch.tensor([[1, 5] + [-2] * 457 + [1] + [-1] * 313 + [7]])
    sizes = torch.tensor([[336, 336], [336, 672]])
    module(input_ids=ids, pixel_values=stacked_crops([0, 1], SLOTS), image_sizes=sizes)
    embeds = watch.seen["inputs_embeds"][0]
    scale = float(alone[1].abs().max())
    close("image rows by number (relative)", embeds[2:459] / scale, alone[1] / scale, atol=1e-5)
    close("image rows by number (relative)", embeds[460:773] / scale, alone[0] / scale, atol=1e-5)
