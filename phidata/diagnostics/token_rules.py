"""PHI601 … PHI699: how many tokens a row has; asked for by `--tokens` and a `--max-length`."""

from __future__ import annotations

from phidata.diagnostics.rule import Rule

_LIMITS = (
    "phitrain stops at such a row before it trains. Of other trainers LLaVA and TRL (1024 tokens unless told "
    "otherwise) keep the beginning, LLaMA-Factory (2048) shortens question and answer, ms-swift drops the row."
)
_SOURCES = (
    "phitrain/batch.py, Samples; haotian-liu/LLaVA, llava/model/llava_arch.py; trl 1.16.0, trl/trainer/sft_config.py "
    "and sft_trainer.py; llamafactory 0.9.5, hparams/data_args.py and data/processor/processor_utils.py; ms-swift "
    "4.6.0, swift/template/base.py and swift/arguments/base_args/template_args.py"
)

TOO_LONG = Rule(
    code="PHI601",
    name="too-long",
    title="more tokens than the limit",
    explanation=f"The row takes more tokens than `--max-length`. {_LIMITS}",
    remedy="raise the limit, divide the row, or leave it out",
    source=_SOURCES,
)
IMAGE_CUT = Rule(
    code="PHI602",
    name="image-cut",
    title="the limit cuts through an image",
    explanation=(
        "The row takes more tokens than `--max-length`, and the limit lies among those of an image. A trainer that "
        "keeps the beginning gives the model a part of an image: TRL stops with 'Image features and image tokens do "
        f"not match', others train on what is left of it. {_LIMITS}"
    ),
    remedy="raise the limit, lower num_crops, give the row fewer or smaller images, or leave it out",
    source=_SOURCES,
)
IMAGE_TOO_THIN = Rule(
    code="PHI603",
    name="image-too-thin",
    title="an image too thin for the model",
    explanation=(
        "The model scales the long side of an image to a multiple of 336 pixels. Of this one nothing of the short side "
        "remains: the processor of Phi-3-vision fails on it, and phitrain stops."
    ),
    remedy="crop the image, or raise num_crops",
    source="microsoft/Phi-3-vision-128k-instruct, processing_phi3_v.py; phitrain/models/phi3v/geometry.py",
)
