"""DeepSpeed behind four verbs: open the process group, forward, backward, step."""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from phitrain.config import Config


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


def open_world() -> World:
    """Join the other ranks: torchrun's variables where there are any, else a world of one process."""
    if "RANK" not in os.environ:
        alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        os.environ.update(alone, MASTER_PORT=str(_free_port()))
    deepspeed = import_deepspeed()
    has_cuda = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if has_cuda else torch.device("cpu")
    if has_cuda:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        deepspeed.init_distributed(dist_backend="nccl" if has_cuda else "gloo", auto_mpi_discovery=False, verbose=False)
    return World(rank=dist.get_rank(), size=dist.get_world_size(), device=device)


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

    logger = logging.getLogger("DeepSpeed")
    logger.setLevel(logging.WARNING)
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)
    if not torch.cuda.is_available():
        # The shared-memory collectives are an optional speed-up that would be compiled first, for most of a minute.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed


class Engine:
    """A module under DeepSpeed: ZeRO 0, 1 or 2, fp32, or bf16 with fp32 master weights and optimizer state."""

    def __init__(self, module: nn.Module, config: Config, world: World) -> None:
        train, optimizer = config.train, config.optimizer
        self.accumulation = train.batch_size // (train.batch_size_per_gpu * world.size)
        self._scale = world.size * self.accumulation
        bf16 = config.model.precision == "bf16"
        self._stage = train.zero
        self.deepspeed, self.optimizer, _, _ = import_deepspeed().initialize(
            model=module,
            optimizer=torch.optim.AdamW(
                weight_decay_groups(module, optimizer.weight_decay),
                lr=optimizer.learning_rate,
                betas=optimizer.betas,
                eps=optimizer.eps,
            ),
            config={
                "train_micro_batch_size_per_gpu": train.batch_size_per_gpu,
                "gradient_accumulation_steps": self.accumulation,
                "gradient_clipping": optimizer.max_grad_norm,
                "zero_optimization": {"stage": self._stage},
                "zero_allow_untested_optimizer": True,
                "bf16": {"enabled": bf16},
                "steps_per_print": 1 << 62,
            },
        )

    @property
    def module(self) -> nn.Module:
        module: nn.Module = self.deepspeed.module
        return module

    def backward(self, loss_sum: Tensor, num_supervised: float) -> None:
        """Accumulate the gradient of one micro-batch's part of the mean over `num_supervised` tokens of all ranks.

        DeepSpeed averages over ranks and micro-batches; the factor here makes that the exact mean over tokens.
        """
        self.deepspeed.backward(loss_sum * (self._scale / num_supervised))
        if not self.deepspeed.is_gradient_accumulation_boundary():
            self.deepspeed.step()

    def step(self, learning_rate: float) -> float:
        """Clip and update after the last micro-batch; returns the norm of the gradient before clipping."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        # Stage 0 clips without keeping the norm; its gradients are whole and reduced by now.
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None] if self._stage == 0 else []
        norm = torch.nn.utils.get_total_norm(gradients) if gradients else None
        self.deepspeed.step()
        return float(self.deepspeed.get_global_grad_norm() if norm is None else norm)


def weight_decay_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: biases and the weights of normalisations do not decay."""
    spared = {
        id(parameter)
        for owner in module.modules()
        for name, parameter in owner.named_parameters(recurse=False)
        if name == "bias" or "Norm" in type(owner).__name__
    }
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: Iterable[tuple[list[nn.Parameter], float]] = (
        ([parameter for parameter in trainable if id(parameter) not in spared], weight_decay),
        ([parameter for parameter in trainable if id(parameter) in spared], 0.0),
    )
    return [{"params": parameters, "weight_decay": decay} for parameters, decay in groups if parameters]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
