"""The two terms that learn from unknown labels: pseudo-label and consistency (Kang et al. 2023, section 2.3)."""

from torch import Tensor

from la_medical.losses.masked_mean import Reduce, masked_mean, widened


def squared_distance(
    logits: Tensor,
    pseudo_labels: Tensor,
    counted: Tensor,
    normalisation: str = "global",
    weight: Tensor | None = None,
    reduce: Reduce | None = None,
) -> Tensor:
    """Mean of (sigmoid(logit) - a~)^2 over the entries where `counted`.

    The paper writes a squared norm; the mean keeps the term's size apart from the number of unknown entries.

    Args:
        logits: (B, K, *spatial), of the weak view (L_pseudo) or the strong one (L_consist).
        pseudo_labels: a~ of the weak view, the same shape, without gradient.
        counted: booleans of the same shape, the unknown entries.
        normalisation: as in `masked_mean`.
        weight: factor of each entry, without gradient; the mean still divides by the number of entries.
        reduce: as in `masked_mean`.
    """
    # Known entries are cut off before the sigmoid, so that nothing of them reaches the gradient.
    answers = widened(logits).masked_fill(~counted, 0).sigmoid()
    squares = (answers - pseudo_labels.detach()).square()
    return masked_mean(squares if weight is None else squares * weight.detach(), counted, normalisation, reduce)
