"""Softmax losses for partly labelled voxels: marginal, exclusion and target-adaptive, as comparators.

Shi et al., Marginal loss and exclusion loss for partially supervised multi-organ segmentation (Medical Image Analysis
2021); Fang and Yan, Multi-organ segmentation over partially labeled datasets with multi-scale feature abstraction
(PIPO-FAN, IEEE TMI 2020). Channel 0 is the background, K classes follow; a target is one label map a case.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.losses.masked_mean import known_entries, masked_mean, widened
from la_medical.losses.partial_label import check_shapes
from la_medical.losses.terms import term_weights, weighted_total


def merged_log_softmax(logits: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """log probabilities in which each case's unlabelled classes count as its background.

    p'_0 = p_0 + sum of p_c over the classes the case's annotator did not look for; p'_c = p_c for the others.

    Args:
        logits: (B, 1 + K, *spatial), background first.
        labelled: (B, K), True for the classes looked for in each case.

    Returns:
        log p'_0, (B, *spatial), and log p_c of all K classes, (B, K, *spatial).

    Raises:
        InputError: shapes that do not go together.
    """
    if labelled.shape != (logits.shape[0], logits.shape[1] - 1):
        raise InputError(
            f"logits {tuple(logits.shape)} with labelled {tuple(labelled.shape)}: "
            "expected (B, 1 + K, *spatial) and (B, K)"
        )
    log_p = widened(logits).log_softmax(dim=1)
    merged = torch.cat([torch.ones_like(labelled[:, :1]), ~labelled], dim=1)
    merged = merged.reshape(*merged.shape, *[1] * (logits.dim() - 2))
    return log_p.masked_fill(~merged, float("-inf")).logsumexp(dim=1), log_p[:, 1:]


def marginal_cross_entropy(logits: Tensor, label_map: Tensor, labelled: Tensor) -> Tensor:
    """Mean over voxels of -log p' of the voxel's label, with unlabelled classes merged into the background.

    PIPO-FAN's target-adaptive loss is the same merging with the cross-entropy; Shi et al. add the Dice
    (`marginal_dice`) and the exclusion loss.

    Args:
        logits: (B, 1 + K, *spatial).
        label_map: (B, *spatial), integers: 0 background or unlabelled class, c + 1 for class c.
        labelled: (B, K).
    """
    background, classes = merged_log_softmax(logits, labelled)
    label = label_map.long().unsqueeze(1)
    own = classes.gather(1, (label - 1).clamp(min=0)).squeeze(1)
    return -torch.where(label.squeeze(1) > 0, own, background).mean()


def marginal_dice(logits: Tensor, label_map: Tensor, labelled: Tensor, smoothing: float = 1.0) -> Tensor:
    """1 - Dice of each labelled class and the merged background, over each case, averaged over those that count.

    Args:
        logits: (B, 1 + K, *spatial).
        label_map: (B, *spatial), integers.
        labelled: (B, K).
        smoothing: added to numerator and denominator.
    """
    background, classes = merged_log_softmax(logits, labelled)
    p = torch.cat([background.unsqueeze(1), classes], dim=1).exp().flatten(2)
    values = torch.arange(p.shape[1], device=p.device).reshape(1, -1, 1)
    y = (label_map.long().flatten(1).unsqueeze(1) == values).to(p.dtype)
    dice = (2 * (p * y).sum(dim=2) + smoothing) / (p.sum(dim=2) + y.sum(dim=2) + smoothing)
    counted = torch.cat([torch.ones_like(labelled[:, :1]), labelled], dim=1)
    return masked_mean(1 - dice, counted)


def exclusion_overlap(logits: Tensor, label_map: Tensor, labelled: Tensor, epsilon: float = 1.0) -> Tensor:
    """Shi et al.'s exclusion loss: how much of each unlabelled class lies on voxels known to be another class.

    Mean over cases and unlabelled classes of log(overlap + epsilon), overlap = sum_v p_c e / (sum_v p_c + sum_v e) x 2,
    with e = 1 where the label map holds a class; 0 where nothing overlaps.

    Args:
        logits: (B, 1 + K, *spatial).
        label_map: (B, *spatial), integers.
        labelled: (B, K).
        epsilon: inside the logarithm, 1 in the paper.
    """
    p = widened(logits).softmax(dim=1)[:, 1:].flatten(2)
    excluded = (label_map > 0).flatten(1).unsqueeze(1).to(p.dtype)
    size = p.sum(dim=2) + excluded.sum(dim=2)
    overlap = 2 * (p * excluded).sum(dim=2) / size.clamp(min=torch.finfo(p.dtype).tiny)
    return masked_mean(torch.log(overlap + epsilon), ~labelled)


class MarginalExclusionLoss(nn.Module):
    """The three softmax terms on the same logits and targets as `VoxelAssembleLoss`.

    K logits become 1 + K by a background of logit 0. A class counts as labelled in a case if it is known at every voxel
    of it; where several known classes are positive at one voxel the first counts, as a softmax demands.
    With the weights of `marginal_dice` and `exclusion` at 0 this is PIPO-FAN's target-adaptive loss. At inference the
    answers are the softmax: `competing_logits` with all classes excluding each other.

    Args:
        weights: factors of `marginal`, `marginal_dice` and `exclusion`; those left out are 1.
        smoothing: of the Dice.
    """

    def __init__(self, weights: Mapping[str, float] | None = None, smoothing: float = 1.0) -> None:
        super().__init__()
        self.weights = term_weights(weights, {"marginal": 1.0, "marginal_dice": 1.0, "exclusion": 1.0})
        self.smoothing = smoothing

    def forward(
        self, weak_logits: Tensor, strong_logits: Tensor | None, targets: Tensor, epoch: int
    ) -> dict[str, Tensor]:
        """The terms, unweighted, of the weak view; `strong_logits` and `epoch` are there for the common call."""
        check_shapes(weak_logits, targets)
        logits = torch.cat([torch.zeros_like(weak_logits[:, :1]), weak_logits], dim=1)
        label_map, labelled = label_maps(targets)
        return {
            "marginal": marginal_cross_entropy(logits, label_map, labelled),
            "marginal_dice": marginal_dice(logits, label_map, labelled, self.smoothing),
            "exclusion": exclusion_overlap(logits, label_map, labelled),
        }

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is trained on."""
        return weighted_total(terms, self.weights)


def label_maps(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Targets (B, K, *spatial) as one label map (B, *spatial; 0 background, c + 1) and the classes labelled (B, K)."""
    known = known_entries(targets)
    positive = known & (targets > 0.5)
    first = positive.to(torch.uint8).argmax(dim=1) + 1
    labelled = known.flatten(2).all(dim=2) if targets.dim() > 2 else known
    return torch.where(positive.any(dim=1), first, 0), labelled
