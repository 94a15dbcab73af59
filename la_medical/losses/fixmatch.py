"""FixMatch for labels that are known one by one: hard pseudo-labels where the weak view is sure.

Sohn et al., FixMatch: Simplifying semi-supervised learning with consistency and confidence (NeurIPS 2020), with one
binary decision a class instead of one softmax.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from la_medical.errors import InputError
from la_medical.losses.masked_mean import known_entries, masked_mean, widened
from la_medical.losses.partial_label import check_shapes, partial_bce
from la_medical.losses.terms import term_weights, weighted_total


def fixmatch_term(weak_logits: Tensor, strong_logits: Tensor, unknown: Tensor, confidence: float = 0.95) -> Tensor:
    """Mean over unknown entries of 1[max(a_w, 1 - a_w) >= confidence] BCE(a_s, 1[a_w > 1/2]).

    As in the paper, entries below the confidence count in the mean, as 0.

    Args:
        weak_logits: (B, K, *spatial); no gradient flows into them.
        strong_logits: the same shape.
        unknown: booleans of the same shape.
        confidence: in [0.5, 1]; 0.95 in the paper.
    """
    a = widened(weak_logits.detach()).sigmoid()
    hard = a > 0.5
    sure = unknown & (torch.maximum(a, 1 - a) >= confidence)
    z = torch.where(sure, widened(strong_logits), 0)
    entries = torch.where(sure, functional.softplus(z) - hard * z, 0)
    return masked_mean(entries, unknown)


class FixMatchLoss(nn.Module):
    """Partial cross-entropy on known labels, `fixmatch_term` on unknown ones; drawn on like `LabelAssembleLoss`.

    Args:
        confidence: in [0.5, 1].
        normalisation: of `bce`, as in `partial_bce`.
        warmup_epochs: `fixmatch` is 0 up to and including this epoch, counted from 1.
        weights: factors of `bce` and `fixmatch`; those left out are 1.

    Raises:
        InputError: a value out of its range.
    """

    def __init__(
        self,
        confidence: float = 0.95,
        normalisation: str = "global",
        warmup_epochs: int = 0,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if not 0.5 <= confidence <= 1:
            raise InputError(f"FixMatch confidence {confidence}: expected a probability from 0.5 to 1")
        self.confidence = confidence
        self.normalisation = normalisation
        self.warmup_epochs = warmup_epochs
        self.weights = term_weights(weights, {"bce": 1.0, "fixmatch": 1.0})

    def forward(
        self,
        weak_logits: Tensor,
        strong_logits: Tensor | None,
        targets: Tensor,
        epoch: int,
        teacher: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Both terms, unweighted; arguments as in `LabelAssembleLoss`."""
        check_shapes(weak_logits, targets)
        bce = partial_bce(weak_logits, targets, self.normalisation)
        terms = {"bce": bce, "fixmatch": torch.zeros_like(bce)}
        if strong_logits is not None and epoch > self.warmup_epochs:
            check_shapes(strong_logits, targets)
            unknown = ~known_entries(targets)
            if teacher is not None:
                check_shapes(teacher, targets)
            labels = weak_logits if teacher is None else teacher
            terms["fixmatch"] = fixmatch_term(labels, strong_logits, unknown, self.confidence)
        return terms

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is trained on."""
        return weighted_total(terms, self.weights)
