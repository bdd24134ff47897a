"""What a run hands back, opened by those who read it: each gives its answers to the same clips."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit  # type: ignore[attr-defined]  # untyped
from peft import PeftModel
from PIL.Image import Image
from transformers import BitsAndBytesConfig

import phidata
from phitrain.models.phi3v import Phi3VForCausalLM, Phi3VProcessor

Answers = dict[str, str]  # by the id of the row
NUM_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One row that is asked: its frames, and its question with a mark for each of them."""

    id: str
    prompt: str
    frames: tuple[Image, ...]


def clips_of(data: Path, evaluation: dict[str, Any]) -> Iterator[Clip]:
    """The rows of an evaluation, with their frames."""
    for split, found in evaluation["splits"].items():
        rows = phidata.load(data, split=split)
        for number, row in enumerate(found["rows"]):
            yield Clip(id=row["id"], prompt=row["prompt"], frames=tuple(rows.images(number)))


def answers_in(evaluation: dict[str, Any]) -> Answers:
    return {row["id"]: row["prediction"] for split in evaluation["splits"].values() for row in split["rows"]}


def read_evaluation(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def by_the_model_class(folder: Path, clips: Iterable[Clip]) -> Answers:
    """Of a model folder, opened by the library's own function."""
    return asked(Phi3VForCausalLM.from_pretrained(folder), folder, clips)


def by_peft(base: Path, adapters: Path, clips: Iterable[Clip], *, four_bit: bool) -> Answers:
    """Of adapters, put by peft on the model that they were trained on; that in NF4 where it was so."""
    nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    whole = Phi3VForCausalLM.from_pretrained(base, **({"quantization_config": nf4} if four_bit else {}))
    for layer in whole.modules():
        if isinstance(layer, Linear4bit):
            layer.support_avx512bf16_for_cpu = False  # bitsandbytes packs no layer that is narrower than a block of 64
    return asked(PeftModel.from_pretrained(whole, adapters), adapters, clips)


@torch.inference_mode()
def asked(model: Any, folder: Path, clips: Iterable[Clip]) -> Answers:
    """The model's greedy answers to clips, one by one, with the processor that lies in a folder."""
    processor = Phi3VProcessor.from_pretrained(folder)
    model.eval()
    answers = {}
    for clip in clips:
        inputs = processor(f"<|user|>\n{clip.prompt}<|end|>\n<|assistant|>\n", list(clip.frames))
        ids = model.generate(**inputs, max_new_tokens=NUM_TOKENS, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        answers[clip.id] = processor.decode(ids, skip_special_tokens=True).strip()
    return answers
