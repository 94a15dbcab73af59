"""Binary cross-entropy over the labels that are known, and over nothing else."""

import torch
from torch import Tensor
from torch.nn import functional

from la_medical.errors import InputError
from la_medical.losses.masked_mean import Reduce, known_entries, masked_mean, widened


def partial_bce(
    logits: Tensor,
    targets: Tensor,
    normalisation: str = "global",
    positive_weight: Tensor | None = None,
    reduce: Reduce | None = None,
) -> Tensor:
    """Mean of -y log a - (1 - y) log(1 - a), a = sigmoid(logit), over the known entries (Kang et al. 2023, L_bce).

    Args:
        logits: (B, K) or (B, K, *spatial). Those of unknown entries may be NaN or infinite; their gradient is 0.
        targets: the same shape: 1, 0 (or between), and NaN, infinite or -1 where unknown.
        normalisation: `global`, `per_class` or `per_sample` (`masked_mean`).
        positive_weight: (K,), factor of the first summand of each class; 1 if None.
        reduce: as in `masked_mean`.

    Returns:
        A float32 (float64 for float64 logits) scalar; 0 with zero gradients if nothing is known.

    Raises:
        InputError: shapes that differ, or another normalisation.
    """
    check_shapes(logits, targets)
    known = known_entries(targets)
    # Replaced before any arithmetic: 0 * NaN is NaN, forwards and backwards.
    z = torch.where(known, widened(logits), 0)
    y = torch.where(known, targets, 0).to(z.dtype)
    if positive_weight is None:
        entries = functional.softplus(z) - y * z
    else:
        weight = by_class(positive_weight, z)
        entries = weight * y * functional.softplus(-z) + (1 - y) * functional.softplus(z)
    return masked_mean(entries, known, normalisation, reduce)


def by_class(values: Tensor, like: Tensor) -> Tensor:
    """K values as (K, 1, ...) so that they multiply (B, K, *spatial) class by class; raises `InputError`."""
    if values.dim() == 0:
        return values.to(like)
    if values.shape != like.shape[1:2]:
        raise InputError(f"{values.numel()} values for {like.shape[1]} classes; expected one for each")
    return values.to(like).reshape(-1, *[1] * (like.dim() - 2))


def check_shapes(logits: Tensor, targets: Tensor) -> None:
    """Raise `InputError` unless both are the same (B, K, *spatial)."""
    if logits.shape != targets.shape or logits.dim() < 2:
        raise InputError(
            f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}: expected the same shape (B, K, *spatial)"
        )
