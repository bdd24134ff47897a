"""In the first steps: every trainable tensor gets a gradient that is not all zero, or the run stops."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from phidata.errors import DataError
from phitrain.engine import World
from phitrain.models.adapter import Adapter

MAX_SHOWN = 8


class GradientAudit:
    """Looks at every tensor after the first step that must reach it.

    That is the first step for the language model, the first one with an image for the vision part, and for the first
    matrix of a LoRA pair the first after an update: until then the second one is zero. Where a gradient is not finite
    the step will be skipped, and the next one is looked at.

    Made before DeepSpeed wraps the module, because its own hooks take gradients away as they come.
    """

    def __init__(self, adapter: Adapter, module: nn.Module, world: World) -> None:
        self._adapter, self._world = adapter, world
        self._flags: dict[str, Tensor] = {}  # name → [some gradient is not zero, some is not finite]
        self._hooks: dict[str, Any] = {}
        for name, parameter in module.named_parameters():
            if parameter.requires_grad and not adapter.may_have_zero_gradient(name):
                self._flags[name] = torch.zeros(2, dtype=torch.int32)
                register: Any = parameter.register_post_accumulate_grad_hook  # untyped
                self._hooks[name] = register(self._watch(name))

    @property
    def is_done(self) -> bool:
        return not self._hooks

    def after_backward(self, *, with_images: bool, is_updated: bool) -> None:
        """Every rank calls it after each step's backward pass. Raises DataError naming what is not trained.

        `is_updated`: an earlier step has changed the weights.
        """
        due = [name for name in self._hooks if self._is_due(name, with_images=with_images, is_updated=is_updated)]
        if not due:
            return
        flags = torch.stack([self._flags[name].to(self._world.device) for name in due])
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        rows = dict(zip(due, flags.tolist(), strict=True))
        if any(is_broken for _, is_broken in rows.values()):
            for name in due:
                self._flags[name].zero_()
            return
        self._stop_for([name for name in due if not rows[name][0]])
        self.close(due)

    def close(self, names: list[str] | None = None) -> None:
        """Watch these no more, or none."""
        for name in list(self._hooks) if names is None else names:
            self._hooks.pop(name).remove()

    def _is_due(self, name: str, *, with_images: bool, is_updated: bool) -> bool:
        reaches = with_images or self._adapter.part_of(name) == "llm"
        return reaches and (is_updated or ".lora_A." not in name)

    def _stop_for(self, names: list[str]) -> None:
        if names:
            shown = ", ".join(sorted(names)[:MAX_SHOWN])
            more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
            raise DataError(
                f"{len(names)} trainable tensors get no gradient in the first step: {shown}{more}; training was stopped"
            )

    def _watch(self, name: str) -> Any:
        def watch(parameter: Tensor) -> None:
            assert parameter.grad is not None
            seen = torch.stack([parameter.grad.any(), ~parameter.grad.isfinite().all()]).int()
            self._flags[name] = self._flags[name].to(seen.device) | seen

        return watch
