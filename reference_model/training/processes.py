"""Several processes that train one network: torchrun's environment, DDP and FSDP2, averages.

Everything here is the identity for a single process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from reference_model.training.loop_config import Parallel
from reference_model.transformer import Block
from reference_model.unet import AttentionBlock, Level


def join(device: str) -> str:
    """Join the processes that torchrun started, if it did, and return this one's device.

    They stay together until the process ends: gloo cannot meet twice by one torchrun.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    on_gpu = device.startswith("cuda")
    if on_gpu:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo")
        atexit.register(dist.destroy_process_group)
    return device


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait_for_all() -> None:
    """Return when every process has come here."""
    if world() > 1:
        dist.barrier()


def average(value: Tensor) -> float:
    """Return the mean of a number over the processes."""
    if world() > 1:
        value = value.clone()
        dist.all_reduce(value)
        value /= world()
    return float(value)


def gathered(rows: Tensor) -> Tensor:
    """Return the rows [n, ...] of all processes in their order, without gradients."""
    rows = rows.detach().contiguous()
    if world() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world())]
    dist.all_gather(parts, rows)
    return torch.cat(parts)


def spread(objective: nn.Module, parallel: Parallel) -> nn.Module:
    """Return an objective whose gradients are averaged over the processes.

    Raises:
        ValueError: FSDP2 is asked for a network with a scalar parameter, as CLIP's temperature.
    """
    if world() == 1:
        return objective
    if parallel == "ddp":
        return DistributedDataParallel(objective)
    scalars = [name for name, p in objective.named_parameters() if p.ndim == 0]
    if scalars:
        raise ValueError(
            f"loop.parallel is fsdp, which cannot share out the scalar {scalars[0]}; use ddp"
        )
    # Keys and values of the context are made at once, before their levels run (`project_for`).
    projections = [a.context_kv for a in objective.modules() if isinstance(a, AttentionBlock)]
    for part in (*filter(None, projections), *blocks_of(objective), objective):
        fully_shard(part)
    return objective


@contextlib.contextmanager
def synchronised(objective: nn.Module, *, last: bool) -> Iterator[None]:
    """Average gradients over the processes only behind the last pass of a step."""
    if isinstance(objective, DistributedDataParallel) and not last:
        with objective.no_sync():
            yield
        return
    if isinstance(objective, FSDPModule):
        objective.set_requires_gradient_sync(last)
    yield


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with the parts that lie on other processes; all of them must call it."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def laid_out_like(tensor: Tensor, own: Tensor) -> Tensor:
    """Return a whole tensor, shared out over the processes where ``own`` is."""
    if isinstance(own, DTensor) and tensor.shape == own.shape:
        return distribute_tensor(tensor.to(own.device), own.device_mesh, own.placements)
    return tensor


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Return the blocks that a network consists of, by which memory is saved."""
    from open_clip.transformer import ResidualAttentionBlock

    kinds = (Block, Level, ResidualAttentionBlock)
    return [part for part in module.modules() if isinstance(part, kinds)]


def compute_again(module: nn.Module) -> None:
    """Let every block keep only its input and be computed again in the backward pass, in place."""
    for block in blocks_of(module):
        _wrap(block)


def _wrap(block: nn.Module) -> None:
    forward = block.forward

    def recomputed(*arguments: Tensor, **named: Tensor) -> Tensor:
        return checkpoint(forward, *arguments, use_reentrant=False, **named)

    block.forward = recomputed  # type: ignore[method-assign]
