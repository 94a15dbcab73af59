"""Means over the entries that count, in float32, finite whatever stands in the other entries."""

import torch
from torch import Tensor

from la_medical.errors import InputError

NORMALISATIONS = ("global", "per_class", "per_sample")


def known_entries(targets: Tensor) -> Tensor:
    """True where a target is a label in [0, 1]; NaN, infinities and the uncertain state -1 are unknown."""
    return (targets >= 0) & (targets <= 1)


def widened(values: Tensor) -> Tensor:
    """16-bit values as float32 (losses of many small terms lose their sum in 16 bits); others as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def masked_mean(values: Tensor, counted: Tensor, normalisation: str = "global") -> Tensor:
    """The mean of `values` over the entries where `counted`, as a scalar.

    Args:
        values: (B, K, *spatial), finite where counted; what stands elsewhere is ignored and gets gradient 0.
        counted: booleans of the same shape.
        normalisation: `global`: one mean over all counted entries. `per_class`: the mean of the class means, over the
            classes with a counted entry. `per_sample`: the mean of the sample means likewise.

    Returns:
        0, with a graph and zero gradients, if no entry counts.

    Raises:
        InputError: another normalisation.
    """
    if normalisation not in NORMALISATIONS:
        raise InputError(f"normalisation {normalisation!r}: expected one of {', '.join(NORMALISATIONS)}")
    values = torch.where(counted, values, 0)
    if normalisation == "global":
        return values.sum() / counted.sum().clamp(min=1)
    kept = 1 if normalisation == "per_class" else 0
    axes = [axis for axis in range(values.dim()) if axis != kept]
    counts = counted.sum(dim=axes)
    means = values.sum(dim=axes) / counts.clamp(min=1)
    return means.sum() / (counts > 0).sum().clamp(min=1)
