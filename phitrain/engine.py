"""DeepSpeed behind four verbs: open the process group, forward, backward, step."""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from phidata.errors import DISK_FULL, DataError, PhidataError, UsageError
from phitrain.config import Config, OptimizerPart

Result = TypeVar("Result")
Tensors = TypeVar("Tensors")

BUCKET = 50_000_000  # elements that travel together
PERSISTENT = 1_000  # ZeRO 3 keeps smaller parameters whole on every rank


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among all that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Each value summed over all ranks."""
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """Every rank's value, by rank, on every rank."""
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def raise_first(self, problem: PhidataError | None) -> None:
        """Raise on every rank the first problem that one of them has."""
        for found in self.gather(problem):
            if found is not None:
                raise found

    def refuse_others(self, what: str, own: object) -> None:
        """Raise UsageError, on every rank, where one has another value than the first: they would train apart."""
        values = self.gather(own)
        other = next((rank for rank, value in enumerate(values) if value != values[0]), None)
        if other is not None:
            raise UsageError(
                f"process {other} has {what} than process 0; give all of them the same flags, model and data, on every "
                "machine"
            )

    def write_on_main(self, tensors: Iterator[Tensors], write: Callable[[Iterator[Tensors]], None]) -> None:
        """Write on rank 0 what all ranks gather along, one after the other; where it fails, all of them raise."""
        problem: PhidataError | None = None
        if self.is_main:
            try:
                write(tensors)
            except PhidataError as error:
                problem = error
            except OSError as error:
                problem = _file_problem(error)
        deque(tensors, maxlen=0)
        self.raise_first(problem)

    def on_main(self, action: Callable[[], Result]) -> Result:
        """Do something on rank 0 and give its result to every rank; where it fails, all of them raise."""
        problem: PhidataError | None = None
        result: Any = None
        if self.is_main:
            try:
                result = action()
            except PhidataError as error:
                problem = error
            except OSError as error:
                problem = _file_problem(error)
        self.raise_first(problem)
        given: list[Any] = [result]
        dist.broadcast_object_list(given, src=0, device=self.device)
        found: Result = given[0]
        return found


def _file_problem(error: OSError) -> PhidataError:
    if error.errno in DISK_FULL:
        place = error.filename or "the output"
        return DataError(f"{place} can not be written ({error.strerror}); make room there and start the same again")
    return UsageError(f"{error.filename or 'output'}: {error.strerror or error}")


def open_world() -> World:
    """Join the other ranks: torchrun's variables where there are any, else a world of one process."""
    if "RANK" not in os.environ:
        alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        os.environ.update(alone, MASTER_PORT=str(_free_port()))
    deepspeed = import_deepspeed()
    has_cuda = torch.cuda.is_available()
    device = own_device(torch.cuda.device_count()) if has_cuda else torch.device("cpu")
    if has_cuda:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        deepspeed.init_distributed(dist_backend="nccl" if has_cuda else "gloo", auto_mpi_discovery=False, verbose=False)
    return World(rank=dist.get_rank(), size=dist.get_world_size(), device=device)


def own_device(num_devices: int) -> torch.device:
    """The GPU of this process. Raises UsageError where the launcher does not name one of the machine's."""
    own = os.environ.get("LOCAL_RANK", "")
    if not own.isdecimal() or int(own) >= num_devices:
        raise UsageError(
            f"LOCAL_RANK is {own!r} on a machine with {num_devices} GPUs; start one process a GPU, as "
            f"`torchrun --nproc_per_node={num_devices}` does"
        )
    return torch.device("cuda", int(own))


def close_world() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def import_deepspeed() -> Any:
    """DeepSpeed with warnings on standard error, its other words off, and nothing to compile on a CPU."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed
    import deepspeed.ops

    # DeepSpeed calls collectives that newer torch releases have renamed; the reader of a run can not change that.
    warnings.filterwarnings("ignore", r"`torch\.distributed\.\w+` is deprecated", FutureWarning)
    warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)  # told once, by `phitrain train`

    logger = logging.getLogger("DeepSpeed")
    logger.setLevel(logging.WARNING)
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:  # not those that a test runner puts beside it
            handler.stream = sys.stderr
    if not torch.cuda.is_available():
        # The shared-memory collectives are an optional speed-up that would be compiled first, for most of a minute.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


@dataclass(frozen=True, kw_only=True)
class Updated:
    """What an optimizer step came to: norms of the gradient before clipping, the factor of the learning rates, and
    whether it was skipped because the gradient was not finite (the norms are then infinite)."""

    grad_norm: float
    grad_norms: dict[str, float]
    factor: float
    skipped: bool


@dataclass(frozen=True, kw_only=True)
class Group:
    """Parameters that share a learning rate and a weight decay; `part` is llm, projector or vision."""

    part: str
    learning_rate: float
    weight_decay: float
    parameters: list[nn.Parameter]


class Engine:
    """A module under DeepSpeed: every ZeRO stage; half precision has fp32 master weights and optimizer state."""

    def __init__(self, module: nn.Module, config: Config, world: World, part_of: Callable[[str], str]) -> None:
        self.accumulation = config.train.batch_size // (config.train.batch_size_per_gpu * world.size)
        self.stage = config.train.zero
        self.groups = optimizer_groups(module, config.optimizer, part_of)
        self._scale = world.size * self.accumulation
        self.device = world.device
        self._max_grad_norm = config.optimizer.max_grad_norm
        offloads = config.train.offload != "none"
        optimizer = torch.optim.AdamW(
            [{"params": group.parameters, "weight_decay": group.weight_decay} for group in self.groups],
            lr=config.optimizer.learning_rate,
            betas=config.optimizer.betas,
            eps=config.optimizer.eps,
            fused=True if offloads or world.device.type == "cuda" else None,
        )
        deepspeed, settings = import_deepspeed(), deepspeed_config(config, world)
        with _zero_optimizer_in_stage_1():
            self.deepspeed, self.optimizer, _, _ = deepspeed.initialize(
                model=module, optimizer=optimizer, config=settings
            )
        if self.stage == 3:
            lend_weights_to_dora(module)
        if config.model.precision == "fp16":
            # Below its least value the scale stays: the loop ends a run whose gradient is never finite, and says why.
            self.optimizer.loss_scaler.raise_error_at_min_scale = False

    @property
    def module(self) -> nn.Module:
        module: nn.Module = self.deepspeed.module
        return module

    @property
    def loss_scale(self) -> float:
        """What the loss is multiplied by: 1 except in fp16."""
        return float(getattr(self.optimizer, "loss_scale", 1.0))

    def backward(self, loss_sum: Tensor, num_supervised: float) -> None:
        """Accumulate the gradient of one micro-batch's part of the mean over `num_supervised` tokens of all ranks.

        DeepSpeed averages over ranks and micro-batches; the factor here makes that the exact mean over tokens.
        """
        self.deepspeed.backward(loss_sum * (self._scale / num_supervised))
        if not self.deepspeed.is_gradient_accumulation_boundary():
            self.deepspeed.step()

    def step(self, factor: float) -> Updated:
        """Clip and update after the last micro-batch, each group with `factor` times its own learning rate."""
        for options, group in zip(self.optimizer.param_groups, self.groups, strict=True):
            options["lr"] = group.learning_rate * factor
        norms = [norm / self.loss_scale for norm in self._group_norms()]
        by_part: dict[str, float] = {}
        for group, norm in zip(self.groups, norms, strict=True):
            by_part[group.part] = math.hypot(by_part.get(group.part, 0.0), norm)
        total = math.hypot(*norms)
        if self.stage == 0:
            self._clip_or_skip(total)
        self.deepspeed.step()
        return Updated(grad_norm=total, grad_norms=by_part, factor=factor, skipped=not math.isfinite(total))

    def learning_rates(self, factor: float) -> dict[str, float]:
        """The rate of each part of the model."""
        return {group.part: group.learning_rate * factor for group in self.groups}

    def _clip_or_skip(self, norm: float) -> None:
        """What the other stages see to themselves. An optimizer leaves a parameter without a gradient as it is."""
        trained = [parameter for group in self.groups for parameter in group.parameters]
        if math.isfinite(norm):
            torch.nn.utils.clip_grads_with_norm_(trained, self._max_grad_norm, torch.tensor(norm, device=self.device))
            return
        for parameter in trained:
            parameter.grad = None

    def _group_norms(self) -> list[float]:
        """The norm of each group's gradient over all ranks, times the loss scale; infinite where it is not finite."""
        optimizer, norms = self.optimizer, [0.0] * len(self.groups)
        if self.stage == 0:
            gradients = [[p.grad for p in group.parameters if p.grad is not None] for group in self.groups]
            whole = [float(torch.nn.utils.get_total_norm(of_group)) for of_group in gradients]
            return [norm if math.isfinite(norm) else math.inf for norm in whole]
        if self.stage == 3:
            owners = [optimizer.sub_group_to_group_id[at] for at in range(len(optimizer.fp16_groups))]
            found = optimizer._get_norm_groups()
        else:
            owners = list(range(len(self.groups)))
            found = [self._sharded_norm(at) for at in owners]
        for owner, norm in zip(owners, map(float, found), strict=True):
            # DeepSpeed says -1 for a norm that is not finite.
            norms[owner] = math.hypot(norms[owner], math.inf if norm < 0 or not math.isfinite(norm) else norm)
        return norms

    def _sharded_norm(self, at: int) -> Tensor:
        optimizer = self.optimizer
        if optimizer.cpu_offload:
            norm = optimizer.complete_grad_norm_calculation_for_cpu_offload(optimizer.params_in_partition[at])
        else:
            norm = optimizer.get_grad_norm_direct(optimizer.averaged_gradients[at], optimizer.params_in_partition[at])
        found: Tensor = norm
        return found


def divided(module: nn.Module, config: Config, world: World) -> nn.Module:
    """A module that only answers, divided over the ranks: each layer comes together when it runs."""
    served: nn.Module = import_deepspeed().initialize(model=module, config=deepspeed_config(config, world))[0].module
    return served


def deepspeed_config(config: Config, world: World) -> dict[str, Any]:
    """DeepSpeed's own configuration of a run; that of stage 3 also partitions the model while it is loaded."""
    train = config.train
    zero: dict[str, Any] = {"stage": train.zero, "reduce_bucket_size": BUCKET}
    if train.offload != "none":
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": world.device.type == "cuda"}
    if train.offload == "parameters":
        zero["offload_param"] = {"device": "cpu", "pin_memory": world.device.type == "cuda"}
    if train.zero == 3:
        zero |= {"stage3_param_persistence_threshold": PERSISTENT, "stage3_prefetch_bucket_size": BUCKET}
    sums: dict[str, Any] = {}
    if sums_in_fp32(config, world.size):
        sums["data_types"] = {"grad_accum_dtype": "fp32"}
        if train.zero == 1:  # where they travel once a step, and not after each micro-batch
            sums["communication_data_type"] = "fp32"
    return {
        "train_micro_batch_size_per_gpu": train.batch_size_per_gpu,
        "gradient_accumulation_steps": train.batch_size // (train.batch_size_per_gpu * world.size),
        "gradient_clipping": config.optimizer.max_grad_norm if train.zero else 0.0,
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": config.model.precision == "bf16", "check_grad_overflow": True},
        # Most models overflow at the usual 2 ** 16, and each overflow costs a step.
        "fp16": {"enabled": config.model.precision == "fp16", "initial_scale_power": 12, "hysteresis": 1},
        "steps_per_print": 1 << 62,
        **sums,
    }


def sums_in_fp32(config: Config, world_size: int) -> bool:
    """Whether the gradients of a step's micro-batches, which half precision rounds, are added up in fp32.

    Not where an offloaded optimizer would keep these sums on the device: in stages 1 and 2.
    """
    train = config.train
    accumulates = train.batch_size > train.batch_size_per_gpu * world_size
    return (
        config.model.precision != "fp32"
        and accumulates
        and train.zero > 0
        and (train.zero == 3 or train.offload == "none")
    )


@contextmanager
def _zero_optimizer_in_stage_1() -> Iterator[None]:
    """Keep DeepSpeed from another optimizer, with another state, for bf16 whose gradients are added up in fp32."""
    from deepspeed.runtime import engine

    choose = engine.DeepSpeedEngine._do_optimizer_sanity_check

    def chosen(self: Any, optimizer: Any) -> Any:
        kind = choose(self, optimizer)
        return engine.ZERO_OPTIMIZATION if kind == engine.BFLOAT16 else kind

    engine.DeepSpeedEngine._do_optimizer_sanity_check = chosen
    try:
        yield
    finally:
        engine.DeepSpeedEngine._do_optimizer_sanity_check = choose


def lend_weights_to_dora(module: nn.Module) -> None:
    """Stage 3: bring a layer's own weight together for its DoRA part too, which takes lengths of it."""
    for layer in module.modules():
        for part in getattr(layer, "lora_magnitude_vector", {}).values():
            weight = layer.get_base_layer().weight  # type: ignore[operator]  # peft's
            import_deepspeed().zero.register_external_parameter(part, weight)


def optimizer_groups(module: nn.Module, optimizer: OptimizerPart, part_of: Callable[[str], str]) -> list[Group]:
    """Trainable parameters by part of the model; biases and the weights of normalisations do not decay."""
    spared = {
        id(parameter)
        for owner in module.modules()
        for name, parameter in owner.named_parameters(recurse=False)
        if name == "bias" or "Norm" in type(owner).__name__
    }
    rates = {"vision": optimizer.vision_learning_rate, "projector": optimizer.projector_learning_rate}
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((part_of(name), id(parameter) not in spared), []).append(parameter)
    return [
        Group(
            part=part,
            learning_rate=rates.get(part) or optimizer.learning_rate,
            weight_decay=optimizer.weight_decay if decays else 0.0,
            parameters=parameters,
        )
        for (part, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
