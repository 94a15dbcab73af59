"""Dice over the batch, for the classes and voxels whose label is known."""

from typing import Any

import torch
from torch import Tensor, distributed

from la_medical.losses.masked_mean import Reduce, known_entries, widened
from la_medical.losses.partial_label import check_shapes


def batch_dice(probabilities: Tensor, targets: Tensor, smoothing: float = 1.0, reduce: Reduce | None = None) -> Tensor:
    """Mean over present classes of 1 - (2 sum p y + s) / (sum p + sum y + s), sums over the batch's known voxels.

    A class without a known positive voxel in the batch adds no term: its Dice would only say how much was predicted,
    and the cross-entropy already says that.

    Args:
        probabilities: (B, K, *spatial) in [0, 1]; what stands at unknown voxels is ignored.
        targets: the same shape: 1, 0, NaN where unknown.
        smoothing: s, in voxels, in the numerator and the denominator.
        reduce: sums the three sums, (3, K), over processes and lets gradients through (`all_reduce_sum`).

    Returns:
        A scalar in [0, 1]; 0 with zero gradients if no class is present.
    """
    check_shapes(probabilities, targets)
    known = known_entries(targets)
    p = torch.where(known, widened(probabilities), 0)
    y = torch.where(known, targets, 0).to(p.dtype)
    axes = [0, *range(2, p.dim())]
    sums = torch.stack([(p * y).sum(dim=axes), p.sum(dim=axes), y.sum(dim=axes)])
    if reduce is not None:
        sums = reduce(sums)
    overlap, predicted, reference = sums.unbind()
    present = reference > 0
    # s = 0 would leave 0 / 0 for an absent class, whose gradient is NaN even when masked.
    denominator = torch.where(present, predicted + reference + smoothing, 1)
    losses = torch.where(present, 1 - (2 * overlap + smoothing) / denominator, 0)
    return losses.sum() / present.sum().clamp(min=1)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over processes, and of its gradients on the way back."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


def all_reduce_sum(values: Tensor) -> Tensor:
    """The sum over all processes, with gradient; `values` itself when torch.distributed is not running.

    Every process then has the loss of the whole batch. The gradient of the sum goes to each process once for every
    process, and DistributedDataParallel divides by their number: together the exact gradient.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    return _SumOverProcesses.apply(values)
