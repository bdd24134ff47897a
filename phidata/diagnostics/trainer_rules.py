"""PHI501 … PHI599: rows that another program drops, crashes on or silently changes; asked for by `--for`.

Each rule was read in the program's own code, in the release or repository that its `source` names. A row is judged as
`phidata export` writes it for that program.
"""

from __future__ import annotations

from phidata.diagnostics.rule import Rule

LLAVA_SEVERAL_IMAGES = Rule(
    code="PHI501",
    name="llava-several-images",
    title="LLaVA stops: several images in a row",
    explanation=(
        "A record of LLaVA has one `image`, whose path is joined to the image folder and opened. There is no list of "
        "images: with one the path can not be joined, and the run ends with a TypeError."
    ),
    remedy="divide the row, or leave it out for LLaVA",
    source="haotian-liu/LLaVA, llava/train/train.py, LazySupervisedDataset.__getitem__",
)
LLAVA_IMAGE_TAG = Rule(
    code="PHI502",
    name="llava-image-tag",
    title="LLaVA changes: text that spells the image tag",
    explanation=(
        "In a record with an image each `<image>` in a text is a placeholder. In the turn of the image it is deleted; "
        "in another text it is moved to the front and takes the next image of the batch, which belongs to another row, "
        "or ends the run with an IndexError. In a record without an image it stays text."
    ),
    remedy="spell the tag otherwise, or leave the row out for LLaVA",
    source="haotian-liu/LLaVA, llava/train/train.py, preprocess_multimodal; llava/model/llava_arch.py, "
    "prepare_inputs_labels_for_multimodal",
)
LLAVA_STRIPPED = Rule(
    code="PHI503",
    name="llava-stripped",
    severity="warning",
    title="LLaVA changes: blanks around the text beside an image",
    explanation=(
        "The text that stands beside the image's placeholder is stripped: blanks and line ends at its beginning and "
        "its end are lost."
    ),
    remedy="nothing, unless they matter, as in code or a table",
    source="haotian-liu/LLaVA, llava/train/train.py, preprocess_multimodal",
)
LLAVA_UNTRAINED = Rule(
    code="PHI504",
    name="llava-untrained",
    title="LLaVA drops: text that spells its own markup",
    explanation=(
        "The conversation is written as one text, and cut again at `</s>` and at ` ASSISTANT: ` to find what is to be "
        "learned. A text that spells one of them, or `<unk>`, which is the padding token, makes the lengths differ. "
        "Then all of the row is masked: it is read, but nothing is learned from it. Only a line 'tokenization mismatch "
        "… (ignored)' tells."
    ),
    remedy="spell it otherwise, or leave the row out for LLaVA",
    source="haotian-liu/LLaVA, llava/train/train.py, preprocess_v1 and train; llava/conversation.py, conv_vicuna_v1",
)
TRL_IMAGE_TOKEN = Rule(
    code="PHI511",
    name="trl-image-token",
    title="TRL stops: text that spells a model's image token",
    explanation=(
        "The processor counts the image tokens in the text of the whole batch, those that stand in your text included, "
        "and raises a ValueError when they are not as many as the images. Which spelling is the token depends on the "
        "model: `<image>` (LLaVA, Idefics 3, SmolVLM), `<|image_pad|>` (Qwen2-VL and later), `<|image|>` (Llama 3.2 "
        "Vision), `<start_of_image>` (Gemma 3), `[IMG]` (Pixtral)."
    ),
    remedy="spell it otherwise, or leave the row out for models of that token",
    source="trl 1.16.0, trl/trainer/sft_trainer.py, DataCollatorForVisionLanguageModeling; transformers 5.23.0, "
    "processing_utils.py, ProcessorMixin.validate_inputs",
)
LLAMAFACTORY_PLACEHOLDER = Rule(
    code="PHI521",
    name="llamafactory-placeholder",
    title="LLaMA-Factory stops: text that spells a placeholder",
    explanation=(
        "For a model that sees, `<image>`, `<video>` and `<audio>` are counted in all texts, those of the assistant "
        "included. They have to be as many as the media of the row; else a ValueError ends the preparation of the "
        "whole data set."
    ),
    remedy="spell it otherwise, set IMAGE_PLACEHOLDER, VIDEO_PLACEHOLDER or AUDIO_PLACEHOLDER, or leave the row out",
    source="llamafactory 0.9.5, data/mm_plugin.py, MMPluginMixin._validate_messages; extras/constants.py",
)
SWIFT_IMAGE_MOVED = Rule(
    code="PHI531",
    name="swift-image-moved",
    title="ms-swift changes: the image tag in a text before an image",
    explanation=(
        "The images of a row are put at the first `<image>` tags of its messages. A text that spells the tag before "
        "the last image takes an image that belongs further behind, and the last tag is left over as text; a warning "
        "in the log is all that tells."
    ),
    remedy="spell the tag otherwise, or leave the row out for ms-swift",
    source="ms-swift 4.6.0, swift/template/base.py, _add_default_tags and _pre_tokenize_images",
)
SWIFT_IMAGE_TOKEN = Rule(
    code="PHI532",
    name="swift-image-token",
    title="ms-swift drops: text that spells the image token beside images",
    explanation=(
        "The template of Phi-3-vision looks for the token `<|image|>` and asserts that there are as many as images. A "
        "text that spells it makes one too many; unless `--strict true` stops the run, the row is replaced by another "
        "one."
    ),
    remedy="spell it otherwise, or leave the row out for ms-swift",
    source="ms-swift 4.6.0, swift/template/templates/microsoft.py, Phi3VisionTemplate; swift/dataset/utils.py, "
    "LazyLLMDataset",
)
