"""Sharpening an answer into a pseudo-label (Kang et al. 2023, Eq. 1)."""

import torch
from torch import Tensor

from la_medical.errors import InputError
from la_medical.losses.masked_mean import widened
from la_medical.losses.partial_label import by_class


def sharpen(
    probability: Tensor, tau: float | Tensor = 0.5, temperature: float = 4.0, raised: Tensor | None = None
) -> Tensor:
    """a~ = a + (1 - a) / t where a > tau, else a - a / t, without gradient.

    Args:
        probability: a, (B, K) or (B, K, *spatial), in [0, 1].
        tau: the threshold in [0, 1], one for all classes or (K,).
        temperature: t >= 1; 1 gives hard labels, infinity gives a itself.
        raised: booleans of the shape of `probability`; where given, they decide instead of a > tau.

    Raises:
        InputError: t < 1, or as many thresholds as there are not classes.
    """
    check_temperature(temperature)
    a = widened(probability.detach())
    up = above(a, tau) if raised is None else raised
    return torch.where(up, a + (1 - a) / temperature, a - a / temperature)


def above(probability: Tensor, tau: float | Tensor) -> Tensor:
    """Where a > tau, for one threshold or one for each class."""
    threshold = by_class(tau, probability) if isinstance(tau, Tensor) else tau
    return probability > threshold


def check_temperature(temperature: float) -> None:
    """Raise `InputError` unless t >= 1."""
    if not temperature >= 1:
        raise InputError(f"sharpening temperature {temperature}: expected 1 (hard labels) or more (inf: no sharpening)")
