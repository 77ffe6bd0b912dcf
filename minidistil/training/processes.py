"""One process or many: who they are, what they add up, how a model is kept in step among them.

    torchrun --nproc-per-node 2 -m minidistil distill run ...

Each process is a rank of one group and sees its own share of the data. DDP gives every rank the
whole model and averages gradients; FSDP2 gives each a part of every weight and gathers a block when
it runs.

Source: Li et al. 2020, arXiv 2006.15704 (DDP); Zhao et al. 2023, arXiv 2304.11277 (FSDP).
Not here: the launch, which is torchrun's.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from minidistil.arguments import usable_device
from minidistil.transformer import TransformerBlock

PARALLEL = ("ddp", "fsdp")


@contextlib.contextmanager
def process_group(name: str) -> Iterator[torch.device]:
    """Join the group that torchrun announces in the environment; alone without one.

    Args:
        name: Of a device; under torchrun "cuda" is each process's own GPU.

    Yields:
        The device of this process.

    Raises:
        ValueError: There is no such device.
    """
    if "WORLD_SIZE" not in os.environ:
        yield usable_device(name)
        return
    device = usable_device(f"cuda:{os.environ['LOCAL_RANK']}" if name == "cuda" else name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
        # All leave together. And gloo's threads have time to let go of their last tensors: one that
        # still holds a tensor when Python ends waits for an interpreter that is gone, and aborts
        # (github.com/pytorch/pytorch/pull/179291). Under load that is rare, but not impossible.
        barrier()
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process; 0 where it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Wait for all processes."""
    if dist.is_initialized():
        dist.barrier()


def summed(values: list[float], device: torch.device) -> list[float]:
    """Each value summed over all processes, in float64."""
    if not dist.is_initialized():
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()


def in_step(module: nn.Module, parallel: str) -> nn.Module:
    """Wrap a module so that its gradients are those of all processes.

    Args:
        module: What the training step calls.
        parallel: "ddp" or "fsdp"; alone, neither does anything.

    Raises:
        ValueError: Another word.
    """
    if parallel not in PARALLEL:
        raise ValueError(f"parallel is {parallel!r}; choose one of {PARALLEL}")
    if not dist.is_initialized():
        return module
    if parallel == "ddp":
        return DistributedDataParallel(module)
    for block in [m for m in module.modules() if isinstance(m, TransformerBlock)]:
        fully_shard(block)
    fully_shard(module)
    return module


def synchronised(module: nn.Module, wanted: bool) -> Any:
    """A context in which a backward pass exchanges gradients only if `wanted`.

    Between the accumulation steps of one update nothing needs to travel.
    """
    if isinstance(module, DistributedDataParallel) and not wanted:
        return module.no_sync()
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(wanted)
    return contextlib.nullcontext()
