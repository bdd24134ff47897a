"""Phi3VForCausalLM: the library's Phi-3 decoder and CLIP tower, joined by the HD merge of the published models."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import CLIPVisionConfig, GenerationMixin, Phi3Config
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.models.clip.modeling_clip import CLIPEncoder, CLIPVisionEmbeddings
from transformers.models.phi3.modeling_phi3 import Phi3Model, Phi3PreTrainedModel

from phidata.errors import DataError
from phitrain.models.phi3v.checking import load_checked
from phitrain.models.phi3v.configuration import IMAGE_TOKEN_ID, Phi3VConfig
from phitrain.models.phi3v.geometry import CROP
from phitrain.models.phi3v.placement import Placement, place

# The library renamed this argument of the decoder in 5.24.
CACHE_NAMES = ("cache", "past_key_values")


class Phi3VRotaryEmbedding(nn.Module):
    """Cosine and sine with the short or the long factors, chosen for each sequence by its own length.

    A sequence is a run of positions that go up by one, so neither padding nor the other samples of a batch
    nor the neighbours in a packed row change a sample's factors. Frequencies are kept in float32 outside the
    module's buffers: casting the model to bfloat16 must not touch them.
    """

    def __init__(self, config: Phi3Config) -> None:
        super().__init__()
        rope = config.rope_parameters
        head = config.hidden_size // config.num_attention_heads
        half = [1.0] * (head // 2)
        self.theta, self.head = float(rope["rope_theta"]), head
        self.factors = [rope.get("short_factor", half), rope.get("long_factor", half)]
        self.scale = float(rope.get("attention_factor", 1.0))
        self.longest_short = int(config.original_max_position_embeddings)
        self._frequencies: dict[torch.device, Tensor] = {}

    def forward(self, hidden: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, tokens, head) each, in `hidden`'s type, for `position_ids` (batch, tokens)."""
        short, long = self._inverse_frequencies(hidden.device)
        is_long = self._segment_lengths(position_ids) > self.longest_short
        frequencies = torch.where(is_long[..., None], long, short)
        angles = position_ids[..., None].float() * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return (angles.cos() * self.scale).to(hidden.dtype), (angles.sin() * self.scale).to(hidden.dtype)

    def _inverse_frequencies(self, device: torch.device) -> Tensor:
        """(2, head / 2): short, long."""
        if device not in self._frequencies:
            powers = self.theta ** (torch.arange(0, self.head, 2, dtype=torch.float32) / self.head)
            self._frequencies[device] = (1.0 / (torch.tensor(self.factors) * powers)).to(device)
        return self._frequencies[device]

    @staticmethod
    def _segment_lengths(position_ids: Tensor) -> Tensor:
        """For each token the last position of its run of rising positions, plus one: (batch, tokens)."""
        starts = F.pad(position_ids[:, 1:] - position_ids[:, :-1] != 1, (1, 0), value=False)
        segment = starts.cumsum(-1)
        last = torch.zeros_like(position_ids).scatter_reduce(-1, segment, position_ids, "amax")
        return last.gather(-1, segment) + 1


class Phi3VTower(nn.Module):
    """CLIP's vision tower up to the block whose output is the feature.

    The last block and `post_layernorm` are in every published checkpoint and are loaded and saved, but not run.
    """

    def __init__(self, config: CLIPVisionConfig, num_blocks: int) -> None:
        super().__init__()
        self.config, self.num_blocks = config, num_blocks
        self.embeddings = CLIPVisionEmbeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder = CLIPEncoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, crops: Tensor) -> Tensor:
        """(crops, 3, 336, 336) -> (crops, 576, channels)."""
        hidden = self.pre_layrnorm(self.embeddings(crops))
        for block in self.encoder.layers[: self.num_blocks]:
            hidden = block(hidden, None)
        return hidden[:, 1:]  # type: ignore[no-any-return]  # the library's layers are untyped

    def unused(self) -> list[str]:
        names = [f"encoder.layers.{index}." for index in range(self.num_blocks, len(self.encoder.layers))]
        return [name for name, _ in self.named_parameters() if name.startswith((*names, "post_layernorm."))]


class Phi3VImageEmbedding(nn.Module):
    """Crops to rows of the decoder's input: CLIP, 2 x 2 merge, separators, projector."""

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__()
        clip = config.clip_config()
        merged = 4 * clip.hidden_size
        self.img_processor = nn.ModuleDict({"vision_model": Phi3VTower(clip, config.num_vision_blocks)})
        self.glb_GN = nn.Parameter(torch.zeros(1, 1, merged))
        self.sub_GN = nn.Parameter(torch.zeros(1, 1, 1, merged))
        self.img_projection = nn.Sequential(
            nn.Linear(merged, config.hidden_size), nn.GELU(), nn.Linear(config.hidden_size, config.hidden_size)
        )

    @property
    def tower(self) -> Phi3VTower:
        tower = self.img_processor["vision_model"]
        assert isinstance(tower, Phi3VTower)
        return tower

    def forward(self, pixel_values: Tensor, placement: Placement) -> Tensor:
        """(image tokens, hidden): the rows of all images, in the order of `placement.rows`."""
        slots = pixel_values.flatten(0, 1) if pixel_values.dim() == 5 else pixel_values
        # A table row is projected once, however many line ends use it.
        crops = slots.index_select(0, placement.crops.to(slots.device)).to(self.sub_GN.device)
        merged = self._merge(self.tower(crops))
        table = torch.cat([merged, self.sub_GN.view(1, -1), self.glb_GN.view(1, -1)])
        projected: Tensor = self.img_projection(table)
        return projected.index_select(0, placement.rows)

    @staticmethod
    def _merge(features: Tensor) -> Tensor:
        """(crops, 24 * 24, c) -> (crops * 12 * 12, 4 c), channels in the order of the 2 x 2 block's cells."""
        crops, cells, channels = features.shape
        side = int(cells**0.5) // 2
        blocks = features.view(crops, side, 2, side, 2, channels).permute(0, 1, 3, 2, 4, 5)
        return blocks.reshape(crops * side * side, 4 * channels)


class Phi3VModel(Phi3Model):  # type: ignore[misc]  # the library's classes are untyped
    """The library's decoder with the image embedding beside its token embedding."""

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__(config.get_text_config())
        self.vision_embed_tokens = Phi3VImageEmbedding(config)
        self.rotary_emb = Phi3VRotaryEmbedding(self.config)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, CLIPVisionEmbeddings):
            init.normal_(module.class_embedding, std=self.config.initializer_range)
            init.copy_(module.position_ids, torch.arange(module.num_positions).expand(1, -1))
        elif isinstance(module, Phi3VImageEmbedding):
            init.zeros_(module.glb_GN)
            init.zeros_(module.sub_GN)


class Phi3VForCausalLM(Phi3PreTrainedModel, GenerationMixin):  # type: ignore[misc]  # untyped, as above
    """Phi-3-vision / Phi-3.5-vision with the published parameter names (592 in the published sizes)."""

    config: Phi3VConfig
    config_class = Phi3VConfig
    _no_split_modules = ("Phi3DecoderLayer", "CLIPEncoderLayer")
    _keys_to_ignore_on_load_unexpected = (r"vision_embed_tokens\.wte\.weight", r"embeddings\.position_ids")

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__(config)
        self.model = Phi3VModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @classmethod
    def from_pretrained(cls, folder: Any, *args: Any, **kwargs: Any) -> Any:
        """As the library's, but a tensor that is missing, unknown or of another shape is an error."""
        return load_checked(super().from_pretrained, folder, *args, **kwargs)

    def fill_buffers(self, device: torch.device) -> None:
        """Give the buffers, which no checkpoint holds, their values in a model that was built on the meta device."""
        embeddings = self.model.vision_embed_tokens.tower.embeddings
        embeddings.position_ids = torch.arange(embeddings.num_positions, device=device).expand(1, -1)
        assert not any(buffer.is_meta for buffer in self.buffers())

    def set_attn_implementation(self, attn_implementation: str | dict[str, str], **kwargs: Any) -> None:
        super().set_attn_implementation(attn_implementation, **kwargs)
        self.model.vision_embed_tokens.tower.config._attn_implementation = self.config._attn_implementation

    def enable_checkpointing(self, parts: str = "on") -> None:
        """Recompute activations in the backward pass (non-reentrant): of every decoder block ("llm"), of every CLIP
        block ("vision"), of both ("on") or of none ("off")."""
        for part, layers in (
            ("llm", self.model.layers),
            ("vision", self.model.vision_embed_tokens.tower.encoder.layers),
        ):
            for layer in layers:
                layer.gradient_checkpointing = parts in ("on", part)
                layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)

    def unused_parameter_names(self) -> list[str]:
        """Parameters that are loaded and saved but never run: they never get a gradient, so do not train them."""
        prefix = "model.vision_embed_tokens.img_processor.vision_model."
        return [prefix + name for name in self.model.vision_embed_tokens.tower.unused()]

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_sizes: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        loss_reduction: str = "mean",
        num_items_in_batch: int | Tensor | None = None,
        return_logits: bool = True,
        idle_tower: bool = False,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (batch, tokens, vocabulary) in float32, and the loss where `labels` are given.

        - `input_ids` (batch, tokens): image k of a sample as a run of -k, or 32044 in reading order; not changed.
        - `pixel_values` (images, crop slots, 3, 336, 336), or (real crops, 3, 336, 336) without empty slots;
          `image_sizes` (images, 2), on the host if possible: images of sample 1, then of sample 2, and so on.
        - `idle_tower`: where no image is embedded, an empty crop goes through the vision part and is multiplied by
          zero. The vision parameters then get a gradient of zero, and all modules run, in the same order as they do on
          other ranks whose batches have images.
        - loss: cross entropy in float32 over the positions whose next label is not -100; their mean, with
          `loss_reduction="sum"` their sum, with `num_items_in_batch` their sum divided by it. With
          `return_logits=False` the vocabulary is computed at those positions only and `logits` is None.
        - no cache is kept in training or with labels, unless `use_cache` says so.
        - packed rows: `attention_mask=None`, `position_ids` restarting at 0 for each sequence.
        """
        cache = next((kwargs[name] for name in CACHE_NAMES if kwargs.get(name) is not None), None)
        if inputs_embeds is None:
            assert input_ids is not None, "input_ids or inputs_embeds"
            inputs_embeds = self._embed(input_ids, pixel_values, image_sizes, cache, idle_tower=idle_tower)
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training and labels is None
        self._refuse_mixed_factors(inputs_embeds.shape[1], position_ids, cache)
        outputs: BaseModelOutputWithPast = self.model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=self._positions(inputs_embeds, attention_mask, position_ids, cache),
            use_cache=use_cache,
            **kwargs,
        )
        hidden = outputs.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden[:, kept]).float() if return_logits else None
        loss = None
        if labels is not None:
            supervised = F.pad(labels[:, 1:], (0, 1), value=-100).to(hidden.device)
            known = logits if logits is not None and logits.shape[1] == hidden.shape[1] else None
            loss = self._loss(hidden, known, supervised, loss_reduction, num_items_in_batch)
        rest = {key: value for key, value in outputs.items() if key != "last_hidden_state"}
        return CausalLMOutputWithPast(loss=loss, logits=logits, **rest)

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        use_cache: bool = True,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """As the library's; where a sample outgrows the short factors, the cache is dropped and all computed anew."""
        name = next((name for name in CACHE_NAMES if kwargs.get(name) is not None), None)
        if name is not None and self._outgrows_short_factors(input_ids, attention_mask, kwargs[name]):
            kwargs |= {name: None, "next_sequence_length": None, "is_first_iteration": True}
        inputs: dict[str, Any] = GenerationMixin.prepare_inputs_for_generation(
            self,
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )
        return inputs

    def _embed(
        self, ids: Tensor, pixel_values: Tensor | None, image_sizes: Tensor | None, cache: Any, *, idle_tower: bool
    ) -> Tensor:
        """(batch, tokens, hidden): token embeddings, image rows in their places, dropout."""
        embeds: Tensor = self.model.embed_tokens(ids.clamp(min=0))
        continues = cache is not None and cache.get_seq_length() > 0
        placement = None
        if pixel_values is not None and image_sizes is not None and not (continues and ids.shape[1] == 1):
            slots = pixel_values.shape[1] if pixel_values.dim() == 5 else None
            placement = place(ids, image_sizes, slots, IMAGE_TOKEN_ID)
            if placement is None and not continues:
                raise DataError("pixel_values are given, but no position of input_ids is marked as an image")
        elif not continues and bool((ids < 0).any()):
            raise DataError("input_ids mark images, but pixel_values and image_sizes are not both given")
        if placement is not None:
            placement = placement.to(embeds.device)
            rows = self.model.vision_embed_tokens(pixel_values, placement).to(embeds.dtype)
            embeds = embeds.flatten(0, 1).index_copy(0, placement.positions, rows).view_as(embeds)
        elif idle_tower:
            # One row, times zero, reaches every vision parameter in the order in which real images do.
            crop = torch.zeros(1, 3, CROP, CROP, device=embeds.device)
            idle = self.model.vision_embed_tokens(crop, Placement.idle().to(embeds.device))
            embeds = embeds + idle[:1, :1].to(embeds.dtype) * 0
        return F.dropout(embeds, self.config.embd_pdrop, self.training)

    def _positions(
        self, embeds: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None, cache: Any
    ) -> Tensor | None:
        """Explicit positions, where padding alone would push a sample past the short factors."""
        tokens = embeds.shape[1]
        padded = attention_mask is not None and attention_mask.dim() == 2 and cache is None
        if position_ids is not None or not padded or tokens <= self.config.original_max_position_embeddings:
            return position_ids
        assert attention_mask is not None
        return torch.arange(tokens, device=embeds.device) * attention_mask.to(embeds.device)

    def _refuse_mixed_factors(self, tokens: int, position_ids: Tensor | None, cache: Any) -> None:
        past = 0 if cache is None else int(cache.get_seq_length())
        limit = self.config.original_max_position_embeddings
        if self.config.rope_scaling is None or past == 0 or past + tokens <= limit:
            return
        first = torch.tensor([past]) if position_ids is None else position_ids[:, 0]
        last = first + tokens - 1 if position_ids is None else position_ids[:, -1]
        if bool(((first <= limit) & (last >= limit)).any()):
            raise ValueError(
                f"the cache was filled with the short RoPE factors and this step reaches beyond {limit} positions: "
                "drop the cache and pass the whole sequence once (generate does)"
            )

    def _outgrows_short_factors(self, ids: Tensor, attention_mask: Tensor | None, cache: Any) -> bool:
        past, limit = int(cache.get_seq_length()), self.config.original_max_position_embeddings
        if self.config.rope_scaling is None or past == 0 or ids.shape[1] <= limit:
            return False
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        return bool(((mask[:, :past].sum(-1) <= limit) & (mask.sum(-1) > limit)).any())

    def _loss(
        self,
        hidden: Tensor,
        logits: Tensor | None,
        targets: Tensor,
        reduction: str,
        num_items: int | Tensor | None,
    ) -> Tensor:
        """Cross entropy of `targets` (batch, tokens), already shifted; -100 is not supervised."""
        if reduction not in ("mean", "sum"):
            raise ValueError(f"loss_reduction is {reduction!r}; it must be 'mean' or 'sum'")
        supervised = targets != -100
        scores = self.lm_head(hidden[supervised]).float() if logits is None else logits[supervised]
        if num_items is not None:
            return F.cross_entropy(scores, targets[supervised], reduction="sum") / num_items
        return F.cross_entropy(scores, targets[supervised], reduction=reduction)
