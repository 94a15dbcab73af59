"""Softmax losses for partly labelled voxels: marginal, exclusion and target-adaptive, as comparators.

Shi et al., Marginal loss and exclusion loss for partially supervised multi-organ segmentation (Medical Image Analysis
2021); Fang and Yan, Multi-organ segmentation over partially labeled datasets with multi-scale feature abstraction
(PIPO-FAN, IEEE TMI 2020). Channel 0 is the background, K classes follow; a target is one label map a case.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.losses.known_only import NO_EPOCH
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
    return log_p.masked_fill(~merged, -math.inf).logsumexp(dim=1), log_p[:, 1:]


def marginal_cross_entropy(
    logits: Tensor, label_map: Tensor, labelled: Tensor, counted: Tensor | None = None
) -> Tensor:
    """Mean over voxels of -log p' of the voxel's label, with unlabelled classes merged into the background.

    PIPO-FAN's target-adaptive loss is the same merging with the cross-entropy; Shi et al. add the Dice
    (`marginal_dice`) and the exclusion loss.

    Args:
        logits: (B, 1 + K, *spatial).
        label_map: (B, *spatial), integers: 0 background or unlabelled class, c + 1 for class c.
        labelled: (B, K).
        counted: (B, *spatial), False where nothing is known, such as beyond the volume; None for every voxel.
    """
    background, classes = merged_log_softmax(logits, labelled)
    label = label_map.long().unsqueeze(1)
    own = classes.gather(1, (label - 1).clamp(min=0)).squeeze(1)
    entropy = -torch.where(label.squeeze(1) > 0, own, background)
    return entropy.mean() if counted is None else masked_mean(entropy, counted)


def marginal_dice(
    logits: Tensor, label_map: Tensor, labelled: Tensor, smoothing: float = 1.0, counted: Tensor | None = None
) -> Tensor:
    """1 - Dice of each labelled class and the merged background, over each case, averaged over those that count.

    Args:
        logits: (B, 1 + K, *spatial).
        label_map: (B, *spatial), integers.
        labelled: (B, K).
        smoothing: added to numerator and denominator.
        counted: as in `marginal_cross_entropy`.
    """
    background, classes = merged_log_softmax(logits, labelled)
    p = torch.cat([background.unsqueeze(1), classes], dim=1).exp().flatten(2)
    values = torch.arange(p.shape[1], device=p.device).reshape(-1, 1)
    y = label_map.long().flatten(1).unsqueeze(1) == values
    if counted is not None:
        inside = counted.flatten(1).unsqueeze(1)
        p, y = torch.where(inside, p, 0), torch.where(inside, y, 0)
    dice = (2 * (p * y).sum(dim=2) + smoothing) / (p.sum(dim=2) + y.sum(dim=2) + smoothing)
    defined = torch.cat([torch.ones_like(labelled[:, :1]), labelled], dim=1)
    return masked_mean(1 - dice, defined)


def exclusion_overlap(
    logits: Tensor, label_map: Tensor, labelled: Tensor, epsilon: float = 1.0, counted: Tensor | None = None
) -> Tensor:
    """Shi et al.'s exclusion loss: how much of each unlabelled class lies on voxels known to be another class.

    Mean over cases and unlabelled classes of log(overlap + epsilon), overlap = sum_v p_c e / (sum_v p_c + sum_v e) x 2,
    with e = 1 where the label map holds a class; 0 where nothing overlaps.

    Args:
        logits: (B, 1 + K, *spatial).
        label_map: (B, *spatial), integers.
        labelled: (B, K).
        epsilon: inside the logarithm, 1 in the paper.
        counted: as in `marginal_cross_entropy`.
    """
    p = widened(logits).softmax(dim=1)[:, 1:].flatten(2)
    if counted is not None:
        p = torch.where(counted.flatten(1).unsqueeze(1), p, 0)
    excluded = (label_map > 0).flatten(1).unsqueeze(1)
    size = p.sum(dim=2) + excluded.sum(dim=2)
    overlap = 2 * (p * excluded).sum(dim=2) / size.clamp(min=torch.finfo(p.dtype).tiny)
    return masked_mean(torch.log(overlap + epsilon), ~labelled)


class MarginalExclusionLoss(nn.Module):
    """The three softmax terms on the same logits and targets as `VoxelAssembleLoss`.

    K logits become 1 + K by a background of logit 0. Voxels of which nothing is known (beyond the volume) do not count.
    A class counts as labelled in a case if it is known at every voxel that counts; where several known classes are
    positive at one voxel the first counts, as a softmax demands. With the weights of `marginal_dice` and `exclusion` at
    0 this is PIPO-FAN's target-adaptive loss. At inference the answers are the softmax: `SoftmaxHead`, or
    `competing_logits` with all classes excluding each other. Several processes have each the means of its own cases.

    Args:
        weights: factors of `marginal`, `marginal_dice` and `exclusion`; those left out are 1.
        smoothing: of the Dice.
    """

    def __init__(self, weights: Mapping[str, float] | None = None, smoothing: float = 1.0) -> None:
        super().__init__()
        self.weights = term_weights(weights, {"marginal": 1.0, "marginal_dice": 1.0, "exclusion": 1.0})
        self.smoothing = smoothing
        self.warmup_epochs = NO_EPOCH

    def forward(
        self, weak_logits: Tensor, strong_logits: Tensor | None, targets: Tensor, epoch: int
    ) -> dict[str, Tensor]:
        """The terms, unweighted, of the weak view; `strong_logits` and `epoch` are there for the common call."""
        check_shapes(weak_logits, targets)
        logits = torch.cat([torch.zeros_like(weak_logits[:, :1]), weak_logits], dim=1)
        label_map, labelled, counted = label_maps(targets)
        return {
            "marginal": marginal_cross_entropy(logits, label_map, labelled, counted),
            "marginal_dice": marginal_dice(logits, label_map, labelled, self.smoothing, counted),
            "exclusion": exclusion_overlap(logits, label_map, labelled, counted=counted),
        }

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is trained on."""
        return weighted_total(terms, self.weights)


def label_maps(targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Targets (B, K, *spatial) as a softmax takes them.

    Returns:
        one label map (B, *spatial; 0 background, c + 1), the classes labelled (B, K), and the voxels (B, *spatial) of
        which any class is known.
    """
    known = known_entries(targets)
    positive = known & (targets > 0.5)
    first = positive.to(torch.uint8).argmax(dim=1) + 1
    counted = known.any(dim=1)
    everywhere = (known | ~counted.unsqueeze(1)).flatten(2).all(dim=2) if targets.dim() > 2 else known
    labelled = everywhere & counted.flatten(1).any(dim=1, keepdim=True) if targets.dim() > 2 else known
    return torch.where(positive.any(dim=1), first, 0), labelled, counted
