"""Phi-3-vision and Phi-3.5-vision, native. Importing this package registers them with the library's Auto classes."""

from __future__ import annotations

from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor

from phitrain.models.phi3v.configuration import Phi3VConfig
from phitrain.models.phi3v.modeling import Phi3VForCausalLM
from phitrain.models.phi3v.processing import Phi3VImageProcessor, Phi3VProcessor, num_image_tokens

__all__ = ["Phi3VConfig", "Phi3VForCausalLM", "Phi3VImageProcessor", "Phi3VProcessor", "num_image_tokens"]

AutoConfig.register(Phi3VConfig.model_type, Phi3VConfig, exist_ok=True)
AutoModelForCausalLM.register(Phi3VConfig, Phi3VForCausalLM, exist_ok=True)
AutoProcessor.register(Phi3VConfig, Phi3VProcessor, exist_ok=True)
