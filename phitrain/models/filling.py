"""Bringing weights into a model that was built without memory: tensor by tensor, so that no second copy ever exists.

Three ways cross each other: whole on one device, in 4 bits, in shares of all ranks (ZeRO stage 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from phidata.errors import PhidataError

Result = TypeVar("Result")


class Reader(Protocol):
    """Gives a tensor its values by name; it may have another type than is stored, or lie on another device."""

    def read_into(self, name: str, target: Tensor) -> None: ...


def fill(
    model: nn.Module, reader: Reader | None, dtype: torch.dtype, device: torch.device, spread: Spread | None
) -> None:
    """Give every parameter of a model on the meta device its values, in `dtype`.

    `reader` is None where another rank reads for this one. `spread` leaves each rank its share of every parameter.
    """
    # The largest first: those that come when the model is nearly whole then add little to it.
    order = sorted(model.named_parameters(), key=lambda pair: -pair[1].numel())
    room = torch.empty(0)
    for name, empty in order:
        if spread is None and type(empty) is nn.Parameter:
            value = torch.empty(empty.shape, dtype=dtype, device=device)
        else:
            # Values that do not stay share a room: rooms of their own would leave holes between what does stay.
            if not empty.numel() <= room.numel() < 2 * empty.numel():
                room = torch.empty(empty.numel(), dtype=dtype, device=device)
            value = room[: empty.numel()].view(empty.shape)
        if reader is not None:
            reader.read_into(name, value)
        path, _, leaf = name.rpartition(".")
        owner = model.get_submodule(path)
        setattr(owner, leaf, _parameter(owner, empty, value))
        if spread is not None:
            spread(getattr(owner, leaf))


class Spread:
    """ZeRO stage 3: the first rank's values go to all, and every rank keeps its share of them."""

    def __init__(self, config: dict[str, Any], dtype: torch.dtype) -> None:
        self._config, self._dtype = config, dtype
        self._convert: Callable[[list[nn.Parameter]], None] | None = None

    def __call__(self, parameter: nn.Parameter) -> None:
        """Replace the parameter's whole value by this rank's share. Every rank calls it, in the same order."""
        if self._convert is not None:
            self._convert([parameter])
            return
        import deepspeed

        alone = nn.ParameterList([parameter])
        deepspeed.zero.Init(module=alone, config_dict_or_path=self._config, dtype=self._dtype)
        self._convert = parameter.convert_to_zero_parameters  # type: ignore[attr-defined]  # DeepSpeed's own


def quantise(model: Any, dtype: torch.dtype) -> None:
    """Replace linear layers of a model on the meta device by empty 4-bit ones: NF4, quantised twice.

    Which ones is the library's choice, as in the published QLoRA script: all but `lm_head`, the vision part's too.
    Packed as `dtype`, which ZeRO stage 3 needs, and computing in it.
    """
    from bitsandbytes.nn.modules import Linear4bit
    from transformers import BitsAndBytesConfig
    from transformers.quantizers import AutoHfQuantizer

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_storage=dtype,
    )
    quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=False)
    quantizer.preprocess_model(model, device_map=None)
    quantizer.postprocess_model(model)
    model.hf_quantizer = quantizer
    for module in model.modules():
        if isinstance(module, Linear4bit):
            # One evaluation would repack the weights of such CPUs for good, and training get no gradients any more.
            module.support_avx512bf16_for_cpu = False


def on_first_rank(work: Callable[[], Result]) -> Result | None:
    """The result of `work` on the first rank, None on the others; an error of the first is raised on all."""
    result: Result | None = None
    found: list[PhidataError | None] = [None]
    if dist.get_rank() == 0:
        try:
            result = work()
        except PhidataError as error:
            found = [error]
    dist.broadcast_object_list(found, src=0)
    if found[0] is not None:
        raise found[0]
    return result


def _parameter(owner: nn.Module, empty: nn.Parameter, value: Tensor) -> nn.Parameter:
    if type(empty) is nn.Parameter:
        return nn.Parameter(value, requires_grad=empty.requires_grad)
    from bitsandbytes.nn.modules import Linear4bit, Params4bit

    assert isinstance(empty, Params4bit)
    assert isinstance(owner, Linear4bit)
    unpacked = Params4bit(
        value,
        requires_grad=False,
        compress_statistics=empty.compress_statistics,
        quant_type=empty.quant_type,
        quant_storage=empty.quant_storage,
        module=owner,
    )
    packed: nn.Parameter = unpacked.to(value.device)  # type: ignore[misc]  # the library declares another self
    return packed
