"""Phi3VProcessor: prompts and pictures to what the model reads, equal to the published processor id by id."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from huggingface_hub import snapshot_download
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F
from transformers import BatchFeature, PreTrainedTokenizerFast

from phidata.errors import DataError, UsageError
from phitrain.models.phi3v.configuration import hub_repository
from phitrain.models.phi3v.geometry import CROP, MERGED, image_tokens, num_image_tokens, scaled_size

__all__ = ["Phi3VImageProcessor", "Phi3VProcessor", "num_image_tokens"]

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
WHITE = 255
# Real crops (n, 3, 336, 336) and the padded (height, width).
Picture: TypeAlias = tuple[Tensor, tuple[int, int]]
IMAGE_TAG = re.compile(r"<\|image_(\d+)\|>")


class Phi3VImageProcessor:
    """Pictures to crops: a global view and up to `num_crops` local crops of 336 x 336 each."""

    def __init__(self, num_crops: int = 16) -> None:
        if num_crops < 1:
            raise UsageError(f"num_crops is {num_crops}; it must be at least 1")
        self.num_crops = num_crops
        levels = torch.arange(256, dtype=torch.float32)[None] / 255
        self._levels = (levels - torch.tensor(MEAN)[:, None]) / torch.tensor(STD)[:, None]

    def __call__(self, images: Sequence[Image.Image], *, pad_crops: bool = True) -> dict[str, Tensor]:
        """`pixel_values` and `image_sizes` (images, 2), the padded (height, width) of each picture.

        `pixel_values` is (images, num_crops + 1, 3, 336, 336), zeros after the real crops; with
        `pad_crops=False` (real crops of all pictures, 3, 336, 336). The first crop is the global view.
        """
        if not images:
            raise DataError("no image was given to the image processor")
        return self.stack([self.crops(image) for image in images], pad_crops=pad_crops)

    def stack(self, pictures: Sequence[Picture], *, pad_crops: bool = True) -> dict[str, Tensor]:
        """The crops of several pictures as one `pixel_values`, and their `image_sizes`."""
        sizes = torch.tensor([size for _, size in pictures])
        if not pad_crops:
            return {"pixel_values": torch.cat([crops for crops, _ in pictures]), "image_sizes": sizes}
        pixels = torch.zeros(len(pictures), self.num_crops + 1, 3, CROP, CROP)
        for slots, (crops, _) in zip(pixels, pictures, strict=True):
            slots[: len(crops)] = crops
        return {"pixel_values": pixels, "image_sizes": sizes}

    def crops(self, image: Image.Image) -> Picture:
        """(real crops, 3, 336, 336) of one picture, and its padded (height, width)."""
        pixels = self._normalised(_padded(image.convert("RGB"), self.num_crops))
        height, width = pixels.shape[1:]
        view = F.interpolate(pixels[None], size=(CROP, CROP), mode="bicubic", align_corners=False)
        grid = pixels.view(3, height // CROP, CROP, width // CROP, CROP).permute(1, 3, 0, 2, 4)
        return torch.cat([view, grid.reshape(-1, 3, CROP, CROP)]), (height, width)

    def _normalised(self, picture: Image.Image) -> Tensor:
        """(3, height, width) in float32: each of the 256 levels looked up, which equals computing it."""
        levels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
        return torch.stack([table[channel.int()] for table, channel in zip(self._levels, levels, strict=True)])


class Phi3VProcessor:
    """Text and pictures to `input_ids`, `attention_mask`, `pixel_values` and `image_sizes`.

    `<|image_K|>` in a text becomes the id -K at every position of image K. The text around the tags is
    tokenised piece by piece with a beginning-of-sequence id each, as the published models were trained.
    """

    model_input_names = ("input_ids", "attention_mask", "pixel_values", "image_sizes")

    def __init__(self, image_processor: Phi3VImageProcessor, tokenizer: PreTrainedTokenizerFast) -> None:
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.chat_template: str | None = tokenizer.chat_template
        self._plain: Tokenizer | None = None

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, num_crops: int | None = None, **_: Any) -> Phi3VProcessor:
        """Read a model folder or a hub repository; `num_crops` overrides the folder's."""
        root = _local(folder)
        settings = json.loads((root / "preprocessor_config.json").read_text("utf-8"))
        chosen = settings["num_crops"] if num_crops is None else num_crops
        return cls(Phi3VImageProcessor(chosen), _tokenizer(root))

    @property
    def num_crops(self) -> int:
        return self.image_processor.num_crops

    def __call__(
        self,
        text: str | Sequence[str],
        images: Image.Image | Sequence[Image.Image] | Sequence[Sequence[Image.Image]] | None = None,
        *,
        return_tensors: str | None = "pt",
        padding: bool | str = True,
        padding_side: str | None = None,
        pad_crops: bool = True,
    ) -> BatchFeature:
        """One prompt with its images, or a list of prompts with a list of images each.

        Without `images` an image tag is plain text. Ids are padded to the longest prompt with
        `<|endoftext|>` and mask 0, on `padding_side` (the tokenizer's unless given: right; generation
        needs "left"). Raises DataError where tags and images do not agree.
        """
        if return_tensors not in ("pt", None):
            raise UsageError(f"return_tensors is {return_tensors!r}; this processor makes 'pt' tensors")
        texts, pictures = _as_batch(text, images)
        crops = [self.image_processor.crops(image) for sample in pictures or [] for image in sample]
        sizes = iter([size for _, size in crops])
        rows = []
        for index, prompt in enumerate(texts):
            own = None if pictures is None else [next(sizes) for _ in pictures[index]]
            rows.append(self._ids(prompt, own))
        batch = self._pad(rows, padding, padding_side or self.tokenizer.padding_side, as_lists=return_tensors is None)
        if crops:
            batch |= self.image_processor.stack(crops, pad_crops=pad_crops)
        return BatchFeature(batch)

    def encode_text(self, text: str, *, allow_special: bool = False) -> list[int]:
        """Ids of a piece of text, without a beginning-of-sequence id.

        By default nothing in it becomes a control token: `<|end|>`, `</s>` or `<|image_1|>` in a user's
        words stay the characters that they are. Text without such spellings has the same ids either way.
        """
        if allow_special:
            return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if self._plain is None:
            backend = json.loads(self.tokenizer.backend_tokenizer.to_str())
            self._plain = Tokenizer.from_str(json.dumps(backend | {"added_tokens": []}))
        return list(self._plain.encode(text, add_special_tokens=False).ids)

    def apply_chat_template(self, messages: list[dict[str, str]], **kwargs: Any) -> Any:
        """The tokenizer's; text unless `tokenize=True`."""
        return self.tokenizer.apply_chat_template(messages, **{"tokenize": False, **kwargs})

    def decode(self, ids: Any, **kwargs: Any) -> str:
        return str(self.tokenizer.decode(ids, **kwargs))

    def batch_decode(self, ids: Any, **kwargs: Any) -> list[str]:
        return list(self.tokenizer.batch_decode(ids, **kwargs))

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """Write tokenizer and processor files in the published layout."""
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        write_tokenizer_files(root, self.chat_template)
        write_processor_files(root, self.num_crops)

    def _ids(self, text: str, sizes: list[tuple[int, int]] | None) -> list[int]:
        if sizes is None:
            return list(self.tokenizer(text)["input_ids"])
        pieces = IMAGE_TAG.split(text)
        tags = [int(tag) for tag in pieces[1::2]]
        _check_tags(tags, len(sizes))
        ids = list(self.tokenizer(pieces[0])["input_ids"])
        for tag, piece in zip(tags, pieces[2::2], strict=True):
            ids += [-tag] * image_tokens(*sizes[tag - 1]) + list(self.tokenizer(piece)["input_ids"])
        return ids

    def _pad(self, rows: list[list[int]], padding: bool | str, side: str, *, as_lists: bool) -> dict[str, Any]:
        longest = max(map(len, rows))
        if padding not in (False, "do_not_pad"):
            fill = [[self.tokenizer.pad_token_id] * (longest - len(row)) for row in rows]
        elif as_lists or all(len(row) == longest for row in rows):
            fill = [[] for _ in rows]
        else:
            raise UsageError("the prompts differ in length: pass padding=True, or return_tensors=None for lists")

        def join(row: list[int], pad: list[int]) -> list[int]:
            return pad + row if side == "left" else row + pad

        ids = [join(row, pad) for row, pad in zip(rows, fill, strict=True)]
        mask = [join([1] * len(row), [0] * len(pad)) for row, pad in zip(rows, fill, strict=True)]
        if as_lists:
            return {"input_ids": ids, "attention_mask": mask}
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


def write_tokenizer_files(root: Path, chat_template: str | None) -> None:
    """The published tokenizer files, which ship with the package; every published model has the same ones."""
    shipped = files("phitrain.models.phi3v") / "tokenizer"
    for name in ("tokenizer.json", "special_tokens_map.json"):
        (root / name).write_bytes((shipped / name).read_bytes())
    settings = json.loads((shipped / "tokenizer_config.json").read_text("utf-8"))
    settings["chat_template"] = settings["chat_template"] if chat_template is None else chat_template
    settings["auto_map"] = {"AutoProcessor": f"{hub_repository(None)}--processing_phi3_v.Phi3VProcessor"}
    (root / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")


def write_processor_files(root: Path, num_crops: int) -> None:
    """`preprocessor_config.json` and `processor_config.json` as published, code references by repository."""
    repository = hub_repository(None)
    code = f"{repository}--processing_phi3_v"
    auto_map = {"AutoProcessor": f"{code}.Phi3VProcessor"}
    processor = {"auto_map": auto_map, "processor_class": "Phi3VProcessor"}
    images = {
        "auto_map": auto_map | {"AutoImageProcessor": f"{code}.Phi3VImageProcessor"},
        "do_convert_rgb": True,
        "image_mean": list(MEAN),
        "image_processor_type": "Phi3VImageProcessor",
        "image_std": list(STD),
        "num_crops": num_crops,
        "num_img_tokens": MERGED**2,
        "processor_class": "Phi3VProcessor",
    }
    for name, content in (("preprocessor_config.json", images), ("processor_config.json", processor)):
        (root / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")


def _padded(picture: Image.Image, num_crops: int) -> Image.Image:
    """Scaled, and padded with white to whole crops; a tall picture is turned for it and turned back."""
    is_tall = picture.width < picture.height
    if is_tall:
        picture = picture.transpose(Image.Transpose.TRANSPOSE)
    width, height = scaled_size(picture.width, picture.height, num_crops)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    padded_height = -(-height // CROP) * CROP
    canvas = Image.new("RGB", (width, padded_height), (WHITE, WHITE, WHITE))
    canvas.paste(picture, (0, (padded_height - height) // 2))
    return canvas.transpose(Image.Transpose.TRANSPOSE) if is_tall else canvas


def _check_tags(tags: list[int], num_images: int) -> None:
    """The tags' set must be 1 ... n for n images; order and repetition are the model's affair, as published."""
    found = sorted(set(tags))
    if len(found) != num_images:
        raise DataError(
            f"the text has {len(found)} image tags and {num_images} images were given: they must be as many"
        )
    if found != list(range(1, num_images + 1)):
        names = ", ".join(f"<|image_{tag}|>" for tag in found)
        raise DataError(f"image tags must be numbered from 1 without a gap, found {names}")


def _as_batch(text: str | Sequence[str], images: Any) -> tuple[list[str], list[list[Image.Image]] | None]:
    if isinstance(text, str):
        if images is None:
            return [text], None
        return [text], [[images] if isinstance(images, Image.Image) else list(images)]
    if images is None:
        return list(text), None
    samples = list(images)
    if any(isinstance(sample, Image.Image) for sample in samples):
        raise UsageError("several prompts need a list of images each: images=[[first, second], [], ...]")
    if len(samples) != len(text):
        raise UsageError(f"{len(text)} prompts came with {len(samples)} lists of images: pass one list per prompt")
    return list(text), [list(sample) for sample in samples]


def _local(folder: str | Path) -> Path:
    if Path(folder).is_dir():
        root = Path(folder)
    elif Path(folder).exists() or str(folder).count("/") != 1:
        raise UsageError(f"there is no model folder {folder}; give an existing folder or a hub id such as owner/name")
    else:
        root = Path(snapshot_download(str(folder), allow_patterns=["*.json"]))
    for name in ("preprocessor_config.json", "tokenizer.json"):
        if not (root / name).is_file():
            raise UsageError(f"{root} has no {name}: it holds no processor; copy the published processor files there")
    return root


def _tokenizer(root: Path) -> PreTrainedTokenizerFast:
    """From tokenizer.json alone: the library's own classes drop ids that the published models were trained on."""
    path = root / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(root / "tokenizer.json"),
        bos_token="<s>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        padding_side=settings.get("padding_side", "right"),
        model_max_length=settings.get("model_max_length", 131072),
        clean_up_tokenization_spaces=False,
    )
    template = root / "chat_template.jinja"
    tokenizer.chat_template = template.read_text("utf-8") if template.is_file() else settings.get("chat_template")
    return tokenizer
