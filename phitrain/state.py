"""The state of the optimizer, parameter by parameter and whole, in every ZeRO stage.

ZeRO divides it over the ranks in a way that depends on their number and on the stage. Here it is put together again, so
that a run can go on with other ranks or in another stage, bit for bit where neither has changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from phitrain.engine import Engine

MASTER = "master"
MOMENTS = ("exp_avg", "exp_avg_sq")
SCALER = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")


def read_state(engine: Engine) -> Iterator[tuple[str, Tensor]]:
    """(key, whole fp32 tensor) of every trainable parameter: `master/NAME`, and once a step was made `exp_avg/NAME` and
    `exp_avg_sq/NAME`. Every rank iterates and gets them, one at a time."""
    kinds = (MASTER, *MOMENTS) if optimizer_steps(engine) else (MASTER,)
    if engine.stage in (1, 2):
        _link_moments(engine)
    for name, parameter in trainable(engine):
        for kind in kinds:
            yield f"{kind}/{name}", _whole(engine, parameter, kind)


def state_shapes(engine: Engine) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor that `read_state` gives, by its key."""
    kinds = (MASTER, *MOMENTS) if optimizer_steps(engine) else (MASTER,)
    return {f"{kind}/{name}": tuple(_shape(parameter)) for name, parameter in trainable(engine) for kind in kinds}


def write_state(engine: Engine, read: Callable[[str], Tensor] | None, num_steps: int) -> None:
    """Put back what `read_state` gave after `num_steps` optimizer steps. `read` gives a tensor by its key, on rank 0;
    the other ranks pass None and get it from there."""
    kinds = (MASTER, *MOMENTS) if num_steps else (MASTER,)
    if num_steps:
        _make_moments(engine, num_steps)
    for name, parameter in trainable(engine):
        for kind in kinds:
            value = torch.empty(_shape(parameter), dtype=torch.float32, device=engine.device)
            if read is not None:
                value.copy_(read(f"{kind}/{name}"))
            dist.broadcast(value, 0)
            _put(engine, parameter, kind, value)
    _refresh(engine)


def trainable(engine: Engine) -> list[tuple[str, nn.Parameter]]:
    """The parameters that have optimizer state, by name, in the same order on every rank."""
    return [(name, parameter) for name, parameter in engine.module.named_parameters() if parameter.requires_grad]


def optimizer_steps(engine: Engine) -> int:
    """How many steps the optimizer has made; skipped ones do not count."""
    return max((int(state["step"]) for state in _inner(engine).state.values() if "step" in state), default=0)


def num_parameters(engine: Engine) -> tuple[int, int]:
    """How many numbers are trained, and how many there are; four-bit ones count as one each."""
    whole = [(_numel(parameter), parameter.requires_grad) for parameter in engine.module.parameters()]
    return sum(count for count, is_trained in whole if is_trained), sum(count for count, _ in whole)


def whole_weights(engine: Engine, *, trained_only: bool) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of the module's parameters as it runs them, put together from all ranks, one at a time. Every
    rank iterates."""
    for name, parameter in engine.module.named_parameters():
        if parameter.requires_grad or not trained_only:
            with _gathered(engine, parameter):
                yield name, parameter.detach()


def read_scaler(engine: Engine) -> dict[str, float]:
    """The state of the loss scale: its value, and in fp16, where it moves, what moves it. Empty where there is none."""
    scaler = getattr(engine.optimizer, "loss_scaler", None)
    return {name: getattr(scaler, name) for name in SCALER if hasattr(scaler, name)}


def write_scaler(engine: Engine, values: dict[str, float]) -> None:
    """Put back what `read_scaler` gave; in another precision there is nothing to put it into."""
    if values.keys() == read_scaler(engine).keys():
        for name, value in values.items():
            setattr(engine.optimizer.loss_scaler, name, value)


def _inner(engine: Engine) -> Any:
    """torch's optimizer below DeepSpeed's."""
    return getattr(engine.optimizer, "optimizer", engine.optimizer)


def _gathered(engine: Engine, parameter: nn.Parameter) -> AbstractContextManager[Any]:
    if engine.stage != 3:
        return nullcontext()
    from deepspeed.runtime.zero import GatheredParameters

    gathered: AbstractContextManager[Any] = GatheredParameters([parameter])
    return gathered


def _numel(parameter: nn.Parameter) -> int:
    """Of the whole parameter; a four-bit one is packed, and knows its shape."""
    quantised = getattr(parameter, "quant_state", None)
    return math.prod(_shape(parameter) if quantised is None else quantised.shape)


def _shape(parameter: nn.Parameter) -> torch.Size:
    return getattr(parameter, "ds_shape", parameter.shape)


def _whole(engine: Engine, parameter: nn.Parameter, kind: str) -> Tensor:
    if engine.stage == 0:
        return parameter.detach() if kind == MASTER else _inner(engine).state[parameter][kind]
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    whole: Tensor | None = (
        safe_get_full_fp32_param(parameter) if kind == MASTER else safe_get_full_optimizer_state(parameter, kind)
    )
    assert whole is not None
    assert (whole.dtype, whole.shape) == (torch.float32, _shape(parameter))
    return whole


def _put(engine: Engine, parameter: nn.Parameter, kind: str, value: Tensor) -> None:
    if engine.stage == 0:
        (parameter.data if kind == MASTER else _inner(engine).state[parameter][kind]).copy_(value)
    elif engine.stage == 3:
        _put_partition(engine, parameter, kind, value)
    else:
        fragments = parameter._hp_mapping  # type: ignore[attr-defined]  # DeepSpeed hangs it there
        if fragments is not None:
            own = fragments.lp_fragment_address
            target = fragments.get_hp_fragment(None if kind == MASTER else kind)
            target.data.copy_(value.flatten()[own.start : own.start + own.numel])
        if kind == MASTER:
            parameter.data.copy_(value)


def _put_partition(engine: Engine, parameter: nn.Parameter, kind: str, value: Tensor) -> None:
    """This rank's share; the last rank's is padded where the number of elements does not divide."""
    key = None if kind == MASTER else kind
    partition, _ = engine.optimizer._get_fp32_opt_state_partition(
        parameter, release_swap_buffers=False, optim_state_key=key
    )
    size, rank = partition.numel(), engine.optimizer._get_param_partition_rank(parameter)
    padded = F.pad(value.flatten(), (0, max(0, size * dist.get_world_size() - value.numel())))
    partition.data.copy_(padded[size * rank : size * (rank + 1)])


def _flat_partitions(engine: Engine) -> list[Tensor]:
    """What torch's optimizer has state for."""
    if engine.stage == 0:
        return [parameter for _, parameter in trainable(engine)]
    name = "fp32_partitioned_groups_flat" if engine.stage == 3 else "single_partition_of_fp32_groups"
    partitions: list[Tensor] = list(getattr(engine.optimizer, name))
    return partitions


def _make_moments(engine: Engine, num_steps: int) -> None:
    """State as after `num_steps` steps, with moments of zero, for every flat partition."""
    inner = _inner(engine)
    for partition in _flat_partitions(engine):
        on = partition.device if inner.defaults["fused"] else torch.device("cpu")
        state = {"step": torch.tensor(float(num_steps), device=on)}
        inner.state[partition] = {**state, **{kind: torch.zeros_like(partition) for kind in MOMENTS}}
    if engine.stage in (1, 2):
        _link_moments(engine)


def _link_moments(engine: Engine) -> None:
    """With several parameter groups DeepSpeed links the moments of the first one only; this links all."""
    if any(_inner(engine).state.values()):
        engine.optimizer._hp_optimizer_states_linked = False
        engine.optimizer._lazy_init_hp_params_optimizer_state()


def _refresh(engine: Engine) -> None:
    """Stage 3: the model's own weights from the master weights, those that every rank keeps whole included."""
    if engine.stage == 3:
        for group in range(len(engine.optimizer.fp16_groups)):
            engine.optimizer._reassign_or_swap_out_partitioned_parameters(group)
        if kept := engine.optimizer.persistent_parameters:
            kept[0].all_gather(kept)
