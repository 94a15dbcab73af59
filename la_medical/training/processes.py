"""Training and answering with several processes (`torchrun`): who am I, and what do the others have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

from la_medical.errors import InputError
from la_medical.networks.checkpoint import unwrapped
from la_medical.training.cores import set_threads
from la_medical.training.stop import stops_on_bad_input
from la_medical.training.values import device as checked_device


def rank() -> int:
    """Number of this process, 0 when there is only one."""
    return distributed.get_rank() if _started() else 0


def world_size() -> int:
    """Number of processes."""
    return distributed.get_world_size() if _started() else 1


@stops_on_bad_input
def start() -> None:
    """Join the group that `torchrun` describes: NCCL where each process has its own GPU, gloo otherwise."""
    if _started():
        return
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        raise InputError("multi-process configs are started by `torchrun --nproc_per_node=N -m monai.bundle run ...`")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available() and local < torch.cuda.device_count():
        torch.cuda.set_device(local)
        distributed.init_process_group("nccl")
    else:
        distributed.init_process_group("gloo")


def stop() -> None:
    """Leave the group."""
    if _started():
        distributed.destroy_process_group()


@stops_on_bad_input
def own_device(wanted: Any = None, threads: Any = None) -> torch.device:
    """The device of this process: the wanted one, else its own GPU under `torchrun`, else the first GPU or the CPU.

    Also sets how many threads torch uses on the CPU (`set_threads`), before anything is computed.
    """
    set_threads(threads)
    if wanted is not None:
        return checked_device(wanted)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if torch.cuda.is_available():
        return torch.device("cuda", local if local < torch.cuda.device_count() else 0)
    return torch.device("cpu")


def shared_network(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` wrapped so that gradients are averaged over the processes; itself when there is only one."""
    if world_size() == 1:
        return network
    ids = [device.index or 0] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(unwrapped(network), device_ids=ids)


def everyones(own: Tensor) -> Tensor:
    """(W * B, ...) rows of all W processes in order of rank, each with B rows; gradients reach the own rows only."""
    if world_size() == 1:
        return own
    parts = [torch.empty_like(own) for _ in range(world_size())]
    distributed.all_gather(parts, own.detach().contiguous())
    parts[rank()] = own
    return torch.cat(parts)


def same_as_first(own: Sequence[Tensor]) -> None:
    """Write rank 0's values into these tensors of every process; all of one type and on one device."""
    if world_size() == 1 or not own:
        return
    flat = torch.cat([tensor.flatten() for tensor in own])
    distributed.broadcast(flat, 0)
    for tensor, values in zip(own, flat.split([tensor.numel() for tensor in own]), strict=True):
        tensor.copy_(values.view_as(tensor))


def gathered(own: Any) -> list[Any]:
    """One picklable object of each process, in order of rank."""
    if world_size() == 1:
        return [own]
    parts: list[Any] = [None] * world_size()
    distributed.all_gather_object(parts, own)
    return parts


def wait_for_all() -> None:
    """Return once every process is here."""
    if world_size() > 1:
        distributed.barrier()


def _started() -> bool:
    return distributed.is_available() and distributed.is_initialized()
