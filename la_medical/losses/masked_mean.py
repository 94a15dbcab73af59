"""Means over the entries that count, in float32, finite whatever stands in the other entries."""

from collections.abc import Callable

import torch
from torch import Tensor

from la_medical.errors import InputError

NORMALISATIONS = ("global", "per_class", "per_sample")

Reduce = Callable[[Tensor], Tensor]
"""Sums a tensor over processes and lets gradients through (`la_medical.losses.dice.all_reduce_sum`)."""


def known_entries(targets: Tensor) -> Tensor:
    """True where a target is a label in [0, 1]; NaN, infinities and the uncertain state -1 are unknown."""
    return (targets >= 0) & (targets <= 1)


def widened(values: Tensor) -> Tensor:
    """16-bit values as float32 (losses of many small terms lose their sum in 16 bits); others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def masked_mean(values: Tensor, counted: Tensor, normalisation: str = "global", reduce: Reduce | None = None) -> Tensor:
    """The mean of `values` over the entries where `counted`, as a scalar.

    Args:
        values: (B, K, *spatial), finite where counted; what stands elsewhere is ignored and gets gradient 0.
        counted: booleans of the same shape.
        normalisation: `global`: one mean over all counted entries. `per_class`: the mean of the class means, over the
            classes with a counted entry. `per_sample`: the mean of the sample means likewise.
        reduce: sums numerators and denominators over processes, so that the mean is over the entries of all of them
            and not a mean of their means.

    Returns:
        0, with a graph and zero gradients, if no entry counts.

    Raises:
        InputError: another normalisation.
    """
    if normalisation not in NORMALISATIONS:
        raise InputError(f"normalisation {normalisation!r}: expected one of {', '.join(NORMALISATIONS)}")
    values = torch.where(counted, values, 0)
    if normalisation == "global":
        total, count = _everywhere(values.sum(), counted.sum(), reduce)
        return total / count.clamp(min=1)
    kept = 1 if normalisation == "per_class" else 0
    axes = [axis for axis in range(values.dim()) if axis != kept]
    totals, counts = values.sum(dim=axes), counted.sum(dim=axes)
    if normalisation == "per_class":  # a class is the same in every process, a sample is not
        totals, counts = _everywhere(totals, counts, reduce)
        return (totals / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)
    total, count = _everywhere((totals / counts.clamp(min=1)).sum(), (counts > 0).sum(), reduce)
    return total / count.clamp(min=1)


def _everywhere(total: Tensor, count: Tensor, reduce: Reduce | None) -> tuple[Tensor, Tensor]:
    """Sums and numbers of entries of all processes; their own without `reduce`."""
    if reduce is None:
        return total, count
    both = reduce(torch.stack([total, count]))
    return both[0], both[1]
