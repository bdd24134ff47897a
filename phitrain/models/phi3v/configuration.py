"""Phi3VConfig: the published keys, read in any of their spellings, written so that the original code reads them."""

from __future__ import annotations

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import CLIPVisionConfig, Phi3Config
from transformers.configuration_utils import PreTrainedConfig

IMAGE_TOKEN_ID = 32044
STOP_TOKEN_IDS = (32000, 32007, 2)
VOCAB_SIZE = 32064

PUBLISHED_CLIP: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_channels": 3,
    "image_size": 336,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "attention_dropout": 0.0,
    "projection_dim": 768,
}
PUBLISHED_IMG_PROCESSOR: dict[str, Any] = {
    "image_dim_out": 1024,
    "model_name": "openai/clip-vit-large-patch14-336",
    "name": "clip_vision_model",
    "num_img_tokens": 144,
}
PUBLISHED_EMBD_LAYER: dict[str, Any] = {
    "embedding_cls": "image",
    "hd_transform_order": "sub_glb",
    "projection_cls": "mlp",
    "use_hd_transform": True,
    "with_learnable_separator": True,
}


@strict
class Phi3VConfig(PreTrainedConfig):  # type: ignore[misc]  # the library's classes are untyped
    """Configuration of Phi-3-vision and Phi-3.5-vision.

    The keys are those of the published `config.json`. `vision_config` (a dict) changes single sizes of the
    CLIP tower, which the original code fixes at ViT-L/14-336; it is written only where it differs from that.
    `rope_scaling` is kept in the published form: None, or exactly `type` (`su` or `yarn`), `short_factor` and
    `long_factor`; `longrope`, `rope_type`, `rope_parameters` and extra keys are understood on reading.
    """

    model_type = "phi3_v"
    keys_to_ignore_at_inference = ("past_key_values", "cache")

    vocab_size: int = VOCAB_SIZE
    hidden_size: int = 3072
    intermediate_size: int = 8192
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    resid_pdrop: float | int = 0.0
    embd_pdrop: float | int = 0.0
    attention_dropout: float | int = 0.0
    hidden_act: str = "silu"
    max_position_embeddings: int = 4096
    original_max_position_embeddings: int = 4096
    initializer_range: float = 0.02
    rms_norm_eps: float = 1e-5
    use_cache: bool = True
    tie_word_embeddings: bool = False
    rope_theta: float | int = 10000.0
    rope_scaling: dict[str, Any] | None = None
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 32000
    pad_token_id: int | None = 32000
    sliding_window: int | None = None
    embd_layer: dict[str, Any] | str = "default"
    img_processor: dict[str, Any] | None = None
    vision_config: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        # The published file asks for flash attention; which implementation runs is chosen at load instead.
        kwargs.pop("_attn_implementation", None)
        kwargs.pop("_name_or_path", None)
        if (parameters := kwargs.pop("rope_parameters", None)) is not None:
            self.rope_theta = parameters.get("rope_theta", self.rope_theta)
            self.rope_scaling = self.rope_scaling or parameters
        if self.num_key_value_heads is None:
            self.num_key_value_heads = self.num_attention_heads
        if self.embd_layer == "default":
            self.embd_layer = dict(PUBLISHED_EMBD_LAYER)
        self.rope_scaling = self._published_rope(self.rope_scaling)
        self.vision_config = self._changed_clip_keys(self.vision_config)
        if self.img_processor is None:
            clip_hidden = {**PUBLISHED_CLIP, **(self.vision_config or {})}["hidden_size"]
            self.img_processor = PUBLISHED_IMG_PROCESSOR | {"image_dim_out": clip_hidden}
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        """Refuse what this implementation does not have, by the name of the key."""
        assert isinstance(self.embd_layer, dict)
        assert self.img_processor is not None
        for key, expected in PUBLISHED_EMBD_LAYER.items():
            if self.embd_layer.get(key, expected) != expected:
                raise ValueError(f"embd_layer.{key} is {self.embd_layer[key]!r}; only {expected!r} is supported")
        if self.img_processor.get("type_feature", "patch") != "patch":
            raise ValueError("img_processor.type_feature must be 'patch'")
        if self.tie_word_embeddings:
            raise ValueError("tie_word_embeddings must be false: the published models have their own lm_head")

    @property
    def num_vision_blocks(self) -> int:
        """How many CLIP blocks run: the feature is hidden state `layer_idx` (-2 by default) of the tower."""
        assert self.img_processor is not None
        layer: int = self.img_processor.get("layer_idx", -2)
        total: int = {**PUBLISHED_CLIP, **(self.vision_config or {})}["num_hidden_layers"]
        return layer if layer >= 0 else total + 1 + layer

    def clip_config(self) -> CLIPVisionConfig:
        """The CLIP tower's configuration for the library."""
        sizes = PUBLISHED_CLIP | (self._changed_clip_keys(self.vision_config) or {})
        assert self.img_processor is not None
        if self.img_processor.get("image_dim_out", sizes["hidden_size"]) != sizes["hidden_size"]:
            raise ValueError(
                f"img_processor.image_dim_out is {self.img_processor['image_dim_out']}, the CLIP hidden size is "
                f"{sizes['hidden_size']}: set both, the latter in vision_config"
            )
        if (sizes["image_size"], sizes["patch_size"]) != (336, 14):
            raise ValueError("vision_config: image_size must be 336 and patch_size 14")
        clip = CLIPVisionConfig(**sizes)
        clip._attn_implementation = self._attn_implementation
        return clip

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Phi3Config:  # noqa: ARG002
        """The decoder's configuration for the library, its conventions translated.

        - A window w of the original lets a token see w tokens before itself, w + 1 in all; the library counts
          the token itself. A window that covers every position is none.
        - `yarn` differs from `su` in the scale of cosine and sine only: 0.1 ln(max / original max) + 1.
        """
        window = self.sliding_window
        if window is not None:
            window = None if window + 1 >= self.max_position_embeddings else window + 1
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": float(self.rope_theta)}
        if (scaling := self._published_rope(self.rope_scaling)) is not None:
            rope |= {key: scaling[key] for key in ("short_factor", "long_factor")}
            rope |= {"rope_type": "longrope", "attention_factor": self._rope_scale(scaling["type"])}
            rope["factor"] = self.max_position_embeddings / self.original_max_position_embeddings
        config = Phi3Config(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            num_key_value_heads=self.num_key_value_heads,
            resid_pdrop=self.resid_pdrop,
            embd_pdrop=self.embd_pdrop,
            attention_dropout=self.attention_dropout,
            hidden_act=self.hidden_act,
            max_position_embeddings=self.max_position_embeddings,
            original_max_position_embeddings=self.original_max_position_embeddings,
            initializer_range=self.initializer_range,
            rms_norm_eps=self.rms_norm_eps,
            use_cache=self.use_cache,
            rope_parameters=rope,
            bos_token_id=self.bos_token_id,
            eos_token_id=self.eos_token_id,
            pad_token_id=self.pad_token_id,
            sliding_window=window,
        )
        config.dtype = self.dtype
        config._attn_implementation = self._attn_implementation
        return config

    def to_dict(self) -> dict[str, Any]:
        """All keys, those of the rope and of CLIP in the published form."""
        output: dict[str, Any] = super().to_dict()
        output["rope_scaling"] = self._published_rope(self.rope_scaling)
        output["vision_config"] = self._changed_clip_keys(self.vision_config)
        repository = hub_repository(self.sliding_window)
        output["auto_map"] = {
            "AutoConfig": f"{repository}--configuration_phi3_v.Phi3VConfig",
            "AutoModelForCausalLM": f"{repository}--modeling_phi3_v.Phi3VForCausalLM",
        }
        return output

    def to_diff_dict(self) -> dict[str, Any]:
        """What goes into `config.json`: readable by the original configuration and modelling code."""
        output: dict[str, Any] = super().to_diff_dict()
        if output["vision_config"] is None:
            del output["vision_config"]
        if "dtype" in output:
            output["torch_dtype"] = output.pop("dtype")
        return output

    def _rope_scale(self, kind: str) -> float:
        """What cosine and sine are multiplied by."""
        ratio = self.max_position_embeddings / self.original_max_position_embeddings
        if ratio <= 1:
            return 1.0
        if kind == "yarn":
            return 0.1 * math.log(ratio) + 1.0
        return math.sqrt(1 + math.log(ratio) / math.log(self.original_max_position_embeddings))

    def _published_rope(self, scaling: dict[str, Any] | None) -> dict[str, Any] | None:
        kind = (scaling or {}).get("type") or (scaling or {}).get("rope_type")
        if scaling is None or kind in (None, "default"):
            return None
        if kind not in ("su", "yarn", "longrope"):
            raise ValueError(f"rope_scaling.type is {kind!r}; it must be 'su', 'longrope' or 'yarn'")
        published: dict[str, Any] = {"type": "su" if kind == "longrope" else kind}
        wanted = self.hidden_size // self.num_attention_heads // 2
        for key in ("short_factor", "long_factor"):
            factors = scaling.get(key)
            if not isinstance(factors, (list, tuple)) or len(factors) != wanted:
                found = f"{len(factors)} values" if isinstance(factors, (list, tuple)) else repr(factors)
                raise ValueError(f"rope_scaling.{key} must list {wanted} numbers (half the head size), found {found}")
            published[key] = list(factors)
        return published

    @staticmethod
    def _changed_clip_keys(given: dict[str, Any] | None) -> dict[str, Any] | None:
        known = PUBLISHED_CLIP | {"initializer_range": 0.02, "initializer_factor": 1.0}
        ours = {key: value for key, value in (given or {}).items() if key in known and known[key] != value}
        if unknown := sorted(set(given or {}) - set(known) - {"model_type", "architectures", "transformers_version"}):
            raise ValueError(f"vision_config has unknown keys {unknown}; known are {sorted(known)}")
        return ours or None


def hub_repository(sliding_window: int | None) -> str:
    """The published repository whose code opens a folder of ours: the two models differ in their window."""
    name = "Phi-3-vision-128k-instruct" if sliding_window == 131072 else "Phi-3.5-vision-instruct"
    return f"microsoft/{name}"
