"""L_total = L_bce + L_pseudo + L_consist, as named terms (Kang et al., Label-Assemble, ISBI 2023)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.losses.known_only import asymmetric_bce
from la_medical.losses.masked_mean import NORMALISATIONS, known_entries, widened
from la_medical.losses.partial_label import check_shapes, partial_bce
from la_medical.losses.pseudo_label import squared_distance
from la_medical.losses.sharpen import check_temperature, sharpen
from la_medical.losses.terms import term_weights, weighted_total

WEIGHTS = {"bce": 1.0, "pseudo": 1.0, "consist": 1.0}


class LabelAssembleLoss(nn.Module):
    """Known labels by cross-entropy; unknown ones, after a warm-up, by sharpened pseudo-labels and consistency.

    `bce`: `partial_bce` of the weak view. `pseudo`: mean over unknown entries of (a_w - a~_w)^2. `consist`: of
    (a_s - a~_w)^2, the strong view against the weak view's pseudo-label. a~ carries no gradient.

    Args:
        tau: threshold of Eq. 1, one number or one a class.
        temperature: t of Eq. 1, from 1 (hard labels) to infinity (no sharpening).
        normalisation: `global`, `per_class` or `per_sample`, for all three terms.
        warmup_epochs: `pseudo` and `consist` are 0 up to and including this epoch, counted from 1.
        weights: factors of the terms in `total`; those left out are 1.
        positive_weight: factor of the positive part of `bce`, one a class.
        confidence_weighting: whether each entry of `pseudo` and `consist` weighs |2a - 1|, how sure the weak view is
            (not in the paper).
        negative_focus: g of `asymmetric_bce` in place of the plain cross-entropy where above 0 (not in the paper).

    Raises:
        InputError: a value out of its range.
    """

    tau: Tensor
    positive_weight: Tensor | None

    def __init__(
        self,
        tau: float | Sequence[float] = 0.5,
        temperature: float = 4.0,
        normalisation: str = "global",
        warmup_epochs: int = 0,
        weights: Mapping[str, float] | None = None,
        positive_weight: Sequence[float] | None = None,
        confidence_weighting: bool = False,
        negative_focus: float = 0.0,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        if normalisation not in NORMALISATIONS:
            raise InputError(f"normalisation {normalisation!r}: expected one of {', '.join(NORMALISATIONS)}")
        if warmup_epochs < 0:
            raise InputError(f"warmup_epochs is {warmup_epochs}; expected 0 or more")
        if negative_focus < 0 or (negative_focus and positive_weight is not None):
            raise InputError(
                f"negative_focus is {negative_focus}; expected 0 or more, and no positive_weight beside it"
            )
        self.temperature = temperature
        self.confidence_weighting = confidence_weighting
        self.negative_focus = negative_focus
        self.normalisation = normalisation
        self.warmup_epochs = warmup_epochs
        self.weights = term_weights(weights, WEIGHTS)
        # Settings, not state: they move with the loss but stay out of its state dict.
        self.register_buffer("tau", thresholds(tau), persistent=False)
        positive = None if positive_weight is None else torch.as_tensor(positive_weight).float()
        self.register_buffer("positive_weight", positive, persistent=False)

    def forward(
        self,
        weak_logits: Tensor,
        strong_logits: Tensor | None,
        targets: Tensor,
        epoch: int,
        teacher: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The three terms, unweighted.

        Args:
            weak_logits: (B, K) or (B, K, *spatial), of the weakly augmented view.
            strong_logits: the same of the strong view; None leaves `consist` at 0 (and may be given before
                `warmup_epochs` have passed, when it is not looked at).
            targets: the same shape: 1, 0, NaN where unknown.
            epoch: the running epoch, counted from 1.
            teacher: logits of the weak view that the pseudo-labels come from; None for `weak_logits`.
        """
        check_shapes(weak_logits, targets)
        if self.negative_focus:
            bce = asymmetric_bce(weak_logits, targets, self.negative_focus, normalisation=self.normalisation)
        else:
            bce = partial_bce(weak_logits, targets, self.normalisation, self.positive_weight)
        zero = torch.zeros_like(bce)
        terms = {"bce": bce, "pseudo": zero, "consist": zero}
        if epoch <= self.warmup_epochs:
            return terms
        unknown = ~known_entries(targets)
        if teacher is not None:
            check_shapes(teacher, targets)
        answers = widened((weak_logits if teacher is None else teacher).detach()).sigmoid()
        pseudo_labels = sharpen(answers, self.tau, self.temperature)
        sure = (2 * answers - 1).abs() if self.confidence_weighting else None
        terms["pseudo"] = squared_distance(weak_logits, pseudo_labels, unknown, self.normalisation, sure)
        if strong_logits is not None:
            check_shapes(strong_logits, targets)
            terms["consist"] = squared_distance(strong_logits, pseudo_labels, unknown, self.normalisation, sure)
        return terms

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is trained on."""
        return weighted_total(terms, self.weights)


def thresholds(tau: float | Sequence[float]) -> Tensor:
    """tau as a tensor, () or (K,); raises `InputError` outside [0, 1]."""
    values = torch.as_tensor(tau).float()
    if values.dim() > 1 or not bool(((values >= 0) & (values <= 1)).all()):
        raise InputError(f"tau {tau}: expected a number in [0, 1], or one for each class")
    return values
