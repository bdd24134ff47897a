"""After the first step: every trainable tensor has had a finite gradient that is not all zero, or the run stops."""

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
    """Looks at the text part after the first step, and at all of the model after the first step with an image.

    Made before DeepSpeed wraps the module, because its own hooks take gradients away as they come.
    """

    def __init__(self, adapter: Adapter, module: nn.Module, world: World) -> None:
        self._adapter, self._world = adapter, world
        self._flags: dict[str, Tensor] = {}  # name → [some gradient is not zero, some is not finite]
        self._hooks = []
        self._has_seen_text = False
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                self._flags[name] = torch.zeros(2, dtype=torch.int32)
                register: Any = parameter.register_post_accumulate_grad_hook  # untyped
                self._hooks.append(register(self._watch(name)))

    @property
    def is_done(self) -> bool:
        return not self._hooks

    def after_backward(self, *, with_images: bool) -> None:
        """Every rank calls it after each step's backward pass. Raises DataError naming what is not trained."""
        if self.is_done or (self._has_seen_text and not with_images):
            return
        zero, broken = self._findings()
        untrained = {
            name
            for name in zero
            if not self._adapter.may_have_zero_gradient(name) and (with_images or self._adapter.part_of(name) == "llm")
        }
        self._stop_for(untrained, "get no gradient")
        self._stop_for(broken, "get a gradient that is not finite")
        self._has_seen_text = True
        if with_images:
            self.close()

    def close(self) -> None:
        """Watch no more."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _findings(self) -> tuple[set[str], set[str]]:
        """Names of parameters without a gradient so far, and of those with one that is not finite, over all ranks."""
        names = list(self._flags)
        flags = torch.stack([self._flags[name].to(self._world.device) for name in names])
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        rows = dict(zip(names, flags.tolist(), strict=True))
        zero = {name for name, (is_nonzero, _) in rows.items() if not is_nonzero}
        return zero, {name for name, (_, is_broken) in rows.items() if is_broken}

    def _stop_for(self, names: set[str], what: str) -> None:
        if names:
            shown = ", ".join(sorted(names)[:MAX_SHOWN])
            more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
            raise DataError(
                f"{len(names)} trainable tensors {what} in the first step: {shown}{more}; training was stopped"
            )

    def _watch(self, name: str) -> Any:
        def watch(parameter: Tensor) -> None:
            assert parameter.grad is not None
            seen = torch.stack([parameter.grad.any(), ~parameter.grad.isfinite().all()]).int()
            self._flags[name] = self._flags[name].to(seen.device) | seen

        return watch
