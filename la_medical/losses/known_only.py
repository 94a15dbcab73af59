"""Losses that only look at labels: masked cross-entropy, "assume negative", and the asymmetric focus on positives."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from la_medical.errors import InputError
from la_medical.losses.masked_mean import known_entries, masked_mean, widened
from la_medical.losses.partial_label import check_shapes, partial_bce
from la_medical.losses.terms import term_weights, weighted_total

NO_EPOCH = 2**31
"""A warm-up that never ends: no other view than the weak one is made."""


def asymmetric_bce(
    logits: Tensor, targets: Tensor, negative_focus: float, shift: float = 0.0, normalisation: str = "global"
) -> Tensor:
    """Mean over known entries of -y log p - (1 - y) p_m^g log(1 - p_m), p_m = max(p - m, 0).

    Ridnik et al., Asymmetric loss for multi-label classification (ICCV 2021), with their positive focus at 0; masked
    like `partial_bce`, as Ben-Baruch et al. (CVPR 2022) do for partial labels. g = 0 and m = 0 is `partial_bce`.

    Args:
        logits: (B, K) or (B, K, *spatial).
        targets: the same shape, NaN where unknown.
        negative_focus: g from 0 on: easy negatives count less.
        shift: m in [0, 1): negatives with p below m count nothing.
        normalisation: as in `masked_mean`.

    Raises:
        InputError: shapes that differ, or a value out of its range.
    """
    check_shapes(logits, targets)
    if negative_focus < 0 or not 0 <= shift < 1:
        raise InputError(f"asymmetric loss: focus {negative_focus} and shift {shift}; expected >= 0 and 0 <= shift < 1")
    known = known_entries(targets)
    z = torch.where(known, widened(logits), 0)
    y = torch.where(known, targets, 0).to(z.dtype)
    if shift:
        p = (z.sigmoid() - shift).clamp(min=0)
        negative = -torch.log1p(-p) * p**negative_focus
    else:
        negative = functional.softplus(z) * torch.exp(-negative_focus * functional.softplus(-z))  # p^g in log space
    return masked_mean(y * functional.softplus(-z) + (1 - y) * negative, known, normalisation)


class KnownLabelsLoss(nn.Module):
    """Cross-entropy on labels alone; drawn on like `LabelAssembleLoss`, and never asks for the strong view.

    Args:
        assume_negative: False masks unknown entries; True trains them as negatives ("zero-filling", the trap).
        normalisation: as in `partial_bce`.
        weights: factor of `bce`.
    """

    def __init__(
        self, assume_negative: bool = False, normalisation: str = "global", weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        self.assume_negative = assume_negative
        self.normalisation = normalisation
        self.warmup_epochs = NO_EPOCH
        self.weights = term_weights(weights, {"bce": 1.0})

    def forward(
        self,
        weak_logits: Tensor,
        strong_logits: Tensor | None,
        targets: Tensor,
        epoch: int,
        teacher: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The one term, unweighted, of the weak view; the other arguments are there for the common call."""
        if self.assume_negative:
            targets = torch.where(known_entries(targets), targets, 0)
        return {"bce": partial_bce(weak_logits, targets, self.normalisation)}

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is trained on."""
        return weighted_total(terms, self.weights)
