"""Pictures and prompts, id by id and pixel by pixel as the published processor makes them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Close
from PIL import Image

from phidata.errors import DataError, UsageError
from phitrain.models.phi3v import Phi3VImageProcessor, Phi3VProcessor, num_image_tokens
from phitrain.models.phi3v.geometry import padded_size

from .golden import GOLDEN, Case, image, read, tensors

PROMPTS = read("processor/prompts.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The processor files as they ship with the package."""
    from phitrain.models.phi3v.processing import write_processor_files, write_tokenizer_files

    made = tmp_path_factory.mktemp("processor")
    write_tokenizer_files(made, None)
    write_processor_files(made, 4)
    return made


@pytest.fixture(scope="module")
def processor(folder: Path) -> Phi3VProcessor:
    return Phi3VProcessor.from_pretrained(folder)


@pytest.mark.parametrize("case", read("processor/cases.json"), ids=lambda case: case["key"])
def test_crops_are_the_published_ones(case: Case, close: Close) -> None:
    found = Phi3VImageProcessor(case["num_crops"])([image("processor", case["image"])])
    pixels, real = found["pixel_values"], case["real_crops"]
    assert found["image_sizes"].tolist() == [case["image_size_hw"]]
    assert list(pixels.shape) == case["pixel_values_shape"]
    assert not pixels[0, real:].any()
    assert num_image_tokens(case["width"], case["height"], case["num_crops"]) == case["num_img_tokens"]
    samples = tensors("processor/samples.safetensors")
    view = samples[f"{case['key']}.global"]
    step = 336 // view.shape[-1]
    close("global view", pixels[0, 0, :, ::step, ::step], view, atol=5e-3)
    close("local crops", pixels[0, 1:real, :, ::24, ::24], samples[f"{case['key']}.local"], atol=2e-6)
    crops = pixels[0, :real].double().flatten(2)
    close("crop means", crops.mean(-1), torch.tensor(case["crop_channel_mean"]).double(), atol=1e-3)
    close("crop deviations", crops.std(-1, correction=0), torch.tensor(case["crop_channel_std"]).double(), atol=1e-3)
    corners = pixels[0, :real][..., [0, 0, 335, 335], [0, 335, 0, 335]].flatten(1)
    close("crop corners", corners, torch.tensor(case["corner_values"]), atol=5e-3)


@pytest.mark.parametrize("key", sorted(tensors("processor/full.safetensors")))
def test_a_whole_global_view_is_the_published_one(key: str, close: Close) -> None:
    expected = tensors("processor/full.safetensors")[key]
    name, num_crops = key.removesuffix(".global").rsplit("_nc", 1)
    found = Phi3VImageProcessor(int(num_crops))([image("processor", f"{name}.png")])["pixel_values"][0, 0]
    step = found.shape[-1] // expected.shape[-1]
    close("global view", found[:, ::step, ::step], expected, atol=5e-3)


def test_sizes_and_token_counts_are_exact() -> None:
    for width, height, num_crops, padded_height, padded_width, tokens in read("processor/size_table.json")["rows"]:
        assert padded_size(width, height, num_crops) == (padded_height, padded_width)
        assert num_image_tokens(width, height, num_crops) == tokens


@pytest.mark.parametrize("case", PROMPTS["texts"], ids=lambda case: repr(case["text"][:20]))
def test_text_has_the_published_ids(processor: Phi3VProcessor, case: Case) -> None:
    assert processor(case["text"])["input_ids"].tolist() == [case["input_ids"]]
    assert processor.encode_text(case["text"], allow_special=True) == case["input_ids_no_special"]
    assert processor.decode(case["input_ids"]) == case["decoded"]


def test_the_chat_template_is_the_published_one(processor: Phi3VProcessor) -> None:
    for case in PROMPTS["chat"]:
        assert processor.apply_chat_template(case["messages"]) == case["rendered"]
        assert processor.apply_chat_template(case["messages"], add_generation_prompt=True) == case["rendered_gen"]


@pytest.mark.parametrize("case", PROMPTS["prompts"], ids=lambda case: repr(case["text"][:20]))
def test_prompts_with_images_have_the_published_ids(folder: Path, case: Case) -> None:
    processor = Phi3VProcessor.from_pretrained(folder, num_crops=case["num_crops"])
    found = processor(case["text"], [image("processor", name) for name in case["images"]], return_tensors="pt")
    assert found["input_ids"].tolist() == case["input_ids"]
    assert found["image_sizes"].tolist() == case["image_sizes"]
    assert found["attention_mask"].all()


@pytest.mark.parametrize("case", PROMPTS["errors"], ids=lambda case: repr(case["text"]))
def test_tags_that_do_not_fit_the_images_are_refused(processor: Phi3VProcessor, case: Case) -> None:
    with pytest.raises(DataError, match="image tags"):
        processor(case["text"], [image("processor", name) for name in case["images"]])


def test_a_batch_of_texts_is_padded_as_published(processor: Phi3VProcessor) -> None:
    case = PROMPTS["padded_batch"]
    found = processor(case["texts"])
    assert found["input_ids"].tolist() == case["input_ids"]
    assert found["attention_mask"].tolist() == case["attention_mask"]


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_with_images_holds_each_sample_alone(processor: Phi3VProcessor, side: str) -> None:
    samples: list[tuple[str, list[Image.Image]]] = [
        ("<|image_1|><|image_2|>", [Image.new("RGB", (30, 20), "red"), Image.new("RGB", (20, 30), "blue")]),
        ("no image", []),
        ("a <|image_1|> b", [Image.new("L", (40, 40), 9)]),
    ]
    texts, images = zip(*samples, strict=True)
    batch = processor(list(texts), list(images), padding_side=side)
    alone = [processor(text, pictures) if pictures else processor(text) for text, pictures in samples]
    for row, one in enumerate(alone):
        length = one["input_ids"].shape[1]
        place = slice(-length, None) if side == "left" else slice(0, length)
        assert batch["input_ids"][row, place].tolist() == one["input_ids"][0].tolist()
        assert batch["attention_mask"][row].sum() == length
    with_images = [one for one in alone if "pixel_values" in one]
    assert torch.equal(batch["pixel_values"], torch.cat([one["pixel_values"] for one in with_images]))
    assert torch.equal(batch["image_sizes"], torch.cat([one["image_sizes"] for one in with_images]))


def test_only_real_crops_can_be_asked_for() -> None:
    images = [Image.new("RGB", (100, 50)), Image.new("RGB", (50, 100))]
    padded, real = (Phi3VImageProcessor(16)(images, pad_crops=pad) for pad in (True, False))
    counts = [1 + height * width // 336**2 for height, width in padded["image_sizes"].tolist()]
    assert real["pixel_values"].shape == (sum(counts), 3, 336, 336)
    pieces = [slots[:count] for slots, count in zip(padded["pixel_values"], counts, strict=True)]
    assert torch.equal(real["pixel_values"], torch.cat(pieces))


def test_text_that_spells_a_control_token_can_be_kept_as_text(processor: Phi3VProcessor) -> None:
    spelled = "a <|end|> b </s> <|image_1|> <|endoftext|>"
    ids = processor.encode_text(spelled)
    assert not {token for token in ids if token < 3 or token >= 32000}
    assert processor.decode(ids) == spelled
    assert 32007 in processor.encode_text(spelled, allow_special=True)
    for case in PROMPTS["texts"]:
        if "<" not in case["text"]:
            assert processor.encode_text(case["text"]) == case["input_ids_no_special"]


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000)])
def test_a_picture_too_thin_to_scale_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="too thin"):
        Phi3VImageProcessor(4)([Image.new("RGB", size)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"text": ["a", "b"], "images": [Image.new("RGB", (1, 1))]}, "list of images each"),
        ({"text": ["a", "b"], "images": [[]]}, "2 prompts came with 1 lists of images"),
        ({"text": "a", "return_tensors": "np"}, "makes 'pt' tensors"),
        ({"text": ["a", "b c d e"], "padding": False}, "differ in length"),
    ],
)
def test_a_wrong_call_is_refused_with_the_remedy(processor: Phi3VProcessor, call: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        processor(**call)


def test_a_folder_without_processor_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no model folder"):
        Phi3VProcessor.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"has no preprocessor_config\.json"):
        Phi3VProcessor.from_pretrained(tmp_path)


def test_saved_files_read_back_equal(processor: Phi3VProcessor, tmp_path: Path) -> None:
    Phi3VProcessor.from_pretrained(processor_folder(processor, tmp_path)).save_pretrained(tmp_path / "again")
    for file in (tmp_path / "once").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


def processor_folder(processor: Phi3VProcessor, root: Path) -> Path:
    processor.save_pretrained(root / "once")
    return root / "once"


@pytest.mark.parametrize("model", ["phi3_vision", "phi35_vision"])
def test_written_settings_say_what_the_published_ones_say(folder: Path, model: str) -> None:
    ours = json.loads((folder / "preprocessor_config.json").read_text())
    published = read(f"hub_configs/{model}/preprocessor_config.json")
    for name in set(published) - {"auto_map", "num_crops"}:
        assert ours[name] == published[name]


@pytest.mark.skipif(not (GOLDEN / "tokenizer").is_dir(), reason="the cut leaves out what the package ships itself")
def test_the_shipped_vocabulary_is_the_published_one(folder: Path) -> None:
    for name in ("tokenizer.json", "special_tokens_map.json"):
        assert (folder / name).read_bytes() == (GOLDEN / "tokenizer" / name).read_bytes()


def test_a_processor_is_small_enough_to_be_sent_to_workers(processor: Phi3VProcessor) -> None:
    sent = pickle.dumps(processor)
    assert len(sent) < 8_000_000
    assert pickle.loads(sent)("Hello")["input_ids"].tolist() == processor("Hello")["input_ids"].tolist()


def test_a_picture_is_not_changed() -> None:
    picture = Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3))
    before = picture.tobytes()
    Phi3VImageProcessor(4)([picture])
    assert picture.tobytes() == before
