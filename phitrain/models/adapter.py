"""What the trainer needs from a vision-language model, and the models that it knows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from phidata.errors import UsageError
from phitrain.models.hub import lasting_name, model_folder, read_object
from phitrain.models.lora_folder import base_model, check_adapters, is_lora_folder, with_adapters
from phitrain.render import ChatFormat

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor, nn

    from phitrain.models.phi3v.layers import Layers
    from phitrain.shards import Stored

Inputs = dict[str, "Tensor"]


class LoraTargets(NamedTuple):
    """Names of linear layers, as peft's `target_modules` takes them: of the language model, of the vision part, and a
    pattern of those that never run."""

    llm: tuple[str, ...]
    vision: tuple[str, ...]
    unused: str


class Preprocessor(Protocol):
    """From text and images to the model's inputs. Holds no weights, can be sent to other processes."""

    @property
    def chat(self) -> ChatFormat: ...

    @property
    def pad_id(self) -> int: ...

    @property
    def max_length(self) -> int: ...

    @property
    def max_image_tokens(self) -> int:
        """The most positions that an image of any size takes."""

    def num_image_tokens(self, width: int, height: int) -> int: ...

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids as text, without control tokens."""

    def pixels(self, images: Sequence[Image]) -> Inputs:
        """The model's image inputs for one sample; those of a batch are these, concatenated along dimension 0."""

    def num_crops_of(self, pixels: Inputs) -> int:
        """How many pictures the vision tower runs for these inputs."""

    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How a model is brought into memory.

    `checkpointing`: off, on, vision or llm. `four_bit`: linear layers as NF4, quantised twice, packed as `dtype`.
    `partition`: the DeepSpeed configuration of ZeRO stage 3, where every rank is to hold its share from the beginning.
    """

    dtype: torch.dtype
    attention: str
    device: torch.device
    checkpointing: str = "off"
    four_bit: bool = False
    partition: dict[str, Any] | None = None


class Adapter(Protocol):
    """One model as the trainer sees it."""

    @property
    def preprocessor(self) -> Preprocessor: ...

    @property
    def name_or_path(self) -> str:
        """What another process finds the model by: the absolute path of its folder, or its hub id."""

    @property
    def revision(self) -> str | None:
        """The branch, tag or commit of a hub id, if one was asked for."""

    @property
    def lora_folder(self) -> Path | None:
        """Where the adapters lie that `load` puts on the model, if it was opened by such a folder."""

    @property
    def lora_targets(self) -> LoraTargets: ...

    @property
    def layers(self) -> Layers:
        """Its sizes, to count operations and bytes by."""

    def fingerprint(self) -> str:
        """Changes when another model lies in the folder."""

    def load(self, loading: Loading) -> nn.Module:
        """The model on its device, in evaluation mode; what never gets a gradient does not require one."""

    def loss_sum(self, module: nn.Module, inputs: Inputs, labels: Tensor) -> Tensor:
        """The summed cross entropy of the labels that are not -100: a scalar in float32.

        Every trainable parameter gets a gradient, in the same order whatever the batch holds: ranks reduce their
        gradients as they come.
        """

    def generate(
        self, module: nn.Module, inputs: Inputs, max_new_tokens: int, *, synced: bool = False
    ) -> list[list[int]]:
        """Greedy answers, one a row, up to the first stop token.

        `synced`: all ranks generate at the same time and run the same modules equally often, as ZeRO stage 3 needs.
        """

    def part_of(self, parameter: str) -> str:
        """vision, projector (with the separators) or llm; the first two get a gradient from images only."""

    def may_have_zero_gradient(self, parameter: str) -> bool:
        """Whether the exact gradient of a parameter is zero by the model's mathematics."""

    def skeleton(self) -> nn.Module:
        """The model on the meta device: names, shapes and layers without values, in the checkpoint's order."""

    def open_weights(self) -> Stored:
        """The checkpoint, to be read tensor by tensor.

        Raises UsageError naming tensors that are missing, unknown or of another shape; DataError for damaged files.
        """

    def save_config(self, folder: Path, dtype: torch.dtype) -> None:
        """Write the configuration of weights of this type, so that the model's own loader reads them."""


def open_adapter(name_or_path: str, num_crops: int | None = None) -> Adapter:
    """The adapter of a model folder or hub id, by the `model_type` of its configuration.

    A folder of LoRA adapters is opened together with the model that they belong to; its own tokenizer and processor
    files come first. Raises UsageError where there is no such model or its type is unknown.
    """
    check_model(name_or_path)
    folder = model_folder(name_or_path)
    if is_lora_folder(folder):
        return Phi3VAdapter(base_model(folder), num_crops, lora_folder=folder)
    return Phi3VAdapter(name_or_path, num_crops)


def check_model(name_or_path: str) -> None:
    """Raise UsageError where there is no such model folder or hub id, or its type is unknown. Loads no weights."""
    folder = model_folder(name_or_path)
    if is_lora_folder(folder):
        check_adapters(model_folder(name_or_path, weights=True))
        name_or_path = base_model(folder)
        folder = model_folder(name_or_path)
    model_type = _read_config(name_or_path, folder).get("model_type")
    if model_type != "phi3_v":
        raise UsageError(f"{name_or_path} is a model of type {model_type!r}; phitrain trains 'phi3_v'")


@dataclass(frozen=True)
class Phi3VPreprocessor:
    """Tokenizer and image processor of Phi-3-vision and Phi-3.5-vision."""

    processor: Any
    num_crops: int
    max_length: int

    @cached_property
    def chat(self) -> ChatFormat:
        tokenizer = self.processor.tokenizer

        def control(text: str) -> tuple[int, ...]:
            return tuple(tokenizer(text, add_special_tokens=False).input_ids)

        return ChatFormat(
            encode_text=self.processor.encode_text,
            chunk_start=(tokenizer.bos_token_id,),
            open_user=control("<|user|>"),
            open_assistant=control("<|end|>\n<|assistant|>\n"),
            end_assistant=control("<|end|>\n"),
            close=control("<|endoftext|>"),
        )

    @property
    def pad_id(self) -> int:
        return int(self.processor.tokenizer.pad_token_id)

    @cached_property
    def max_image_tokens(self) -> int:
        from phitrain.models.phi3v.geometry import CROP, image_tokens

        return max(image_tokens(CROP * rows, CROP * (self.num_crops // rows)) for rows in range(1, self.num_crops + 1))

    def num_image_tokens(self, width: int, height: int) -> int:
        from phitrain.models.phi3v.geometry import num_image_tokens

        return num_image_tokens(width, height, self.num_crops)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self.processor.tokenizer.decode(list(ids), skip_special_tokens=True))

    def pixels(self, images: Sequence[Image]) -> Inputs:
        # (real crops, 3, 336, 336): the published form's empty crop slots are not carried along.
        return dict(self.processor.image_processor(images, pad_crops=False))

    def num_crops_of(self, pixels: Inputs) -> int:
        return len(pixels["pixel_values"]) if pixels else 0

    def save(self, folder: Path) -> None:
        self.processor.save_pretrained(folder)


class Phi3VAdapter:
    """Phi-3-vision and Phi-3.5-vision; with `lora_folder` its adapters are on the model, and its processor is taken."""

    def __init__(self, name_or_path: str, num_crops: int | None = None, *, lora_folder: Path | None = None) -> None:
        from transformers.utils import logging

        from phitrain.models.phi3v import Phi3VConfig, Phi3VProcessor

        logging.disable_progress_bar()
        self.name_or_path, self.revision = lasting_name(name_or_path)
        self.lora_folder = lora_folder
        self._source = name_or_path
        self._folder = model_folder(name_or_path)
        config = Phi3VConfig.from_pretrained(self._folder)
        num_blocks = config.clip_config().num_hidden_layers
        self._unused_blocks = range(config.num_vision_blocks, num_blocks)
        has_own = lora_folder is not None and (lora_folder / "preprocessor_config.json").is_file()
        options = {} if num_crops is None else {"num_crops": num_crops}
        processor = Phi3VProcessor.from_pretrained(lora_folder if has_own and lora_folder else self._folder, **options)
        self.preprocessor = Phi3VPreprocessor(
            processor=processor,
            num_crops=int(processor.image_processor.num_crops),
            max_length=int(config.max_position_embeddings),
        )

    @property
    def lora_targets(self) -> LoraTargets:
        # Published: microsoft/PhiCookBook, the fine-tuning scripts of Phi-3-vision, create_lora_config.
        blocks = "|".join(map(str, self._unused_blocks))
        return LoraTargets(
            llm=("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"),
            vision=("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2", "img_projection.0", "img_projection.2"),
            unused=rf".*\.vision_model\.encoder\.layers\.({blocks})\..*",
        )

    def load(self, loading: Loading) -> nn.Module:
        from phitrain.models.phi3v.loading import load_model

        model = load_model(self._source, loading)
        model.enable_checkpointing(loading.checkpointing)
        module: nn.Module = model
        return module if self.lora_folder is None else with_adapters(module, self.lora_folder, loading.device)

    def loss_sum(self, module: nn.Module, inputs: Inputs, labels: Tensor) -> Tensor:
        options = {"loss_reduction": "sum", "return_logits": False, "use_cache": False, "idle_tower": True}
        output = module(**inputs, labels=labels, **options)
        loss: Tensor = output.loss
        return loss

    def generate(
        self, module: nn.Module, inputs: Inputs, max_new_tokens: int, *, synced: bool = False
    ) -> list[list[int]]:
        from phitrain.models.phi3v.greedy import greedy

        chat, images = self.preprocessor.chat, dict(inputs)
        ids, mask = images.pop("input_ids"), images.pop("attention_mask")
        stops = {chat.close[0], chat.end_assistant[0]}
        return greedy(module, ids, mask, images, max_new_tokens=max_new_tokens, stops=stops, synced=synced)

    def part_of(self, parameter: str) -> str:
        if "vision_embed_tokens." not in parameter:
            return "llm"
        return "vision" if ".img_processor." in parameter else "projector"

    def may_have_zero_gradient(self, parameter: str) -> bool:
        # A key bias adds the same amount to every score of a query, which softmax does not see.
        return parameter.endswith("k_proj.bias")

    @cached_property
    def layers(self) -> Layers:
        from phitrain.models.phi3v import Phi3VConfig
        from phitrain.models.phi3v.layers import layers_of

        return layers_of(Phi3VConfig.from_pretrained(self._folder))

    def fingerprint(self) -> str:
        from phitrain.shards import weight_files

        digest, folder = hashlib.sha256(), model_folder(self._source, weights=True)
        for file in sorted([folder / "config.json", *weight_files(folder)]):
            digest.update(f"{file.name} {file.stat().st_size} ".encode())
            with file.open("rb") as opened:
                digest.update(opened.read(1 << 20))
        return digest.hexdigest()

    def skeleton(self) -> nn.Module:
        import torch

        from phitrain.models.phi3v import Phi3VConfig, Phi3VForCausalLM

        with torch.device("meta"):
            module: nn.Module = Phi3VForCausalLM(Phi3VConfig.from_pretrained(self._folder))
        return module

    def open_weights(self) -> Stored:
        from phitrain.models.phi3v.stored import open_stored

        return open_stored(self._source, self.skeleton())

    def save_config(self, folder: Path, dtype: torch.dtype) -> None:
        from phitrain.models.phi3v.stored import save_config

        save_config(self._source, folder, dtype)


def _read_config(name: str, folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        raise UsageError(_why_no_model(name, folder))
    return read_object(file)


def _why_no_model(name: str, folder: Path) -> str:
    """For people who name a file, or what a run left that has not ended."""
    if not folder.is_dir():
        return f"{name} is a file; give the path of a model folder, or a hub id"
    if (folder / "checkpoint.json").is_file():
        return f"{name} is a checkpoint, not a model folder; `phitrain export {name} OUT` makes one of it"
    if (folder / "train_config.json").is_file():
        return f"{name} holds a run that has not ended, and no model yet; go on with it, or export a checkpoint of it"
    return f"{name} holds no config.json; it is not a model folder"
