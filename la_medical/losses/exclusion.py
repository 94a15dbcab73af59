"""Classes that exclude each other at one voxel: a penalty, competing answers, and pseudo-labels that respect it."""

import math

import torch
from torch import Tensor

from la_medical.losses.masked_mean import Reduce, known_entries, masked_mean, widened
from la_medical.losses.partial_label import check_shapes
from la_medical.losses.relations import Relations, along, contract, count


def exclusion_penalty(logits: Tensor, targets: Tensor, relations: Relations, reduce: Reduce | None = None) -> Tensor:
    """Mean over entries of p_c times the p of the classes that exclude c, for pairs of which neither is known.

    Pairs with a known member need no penalty: `Relations.implied` has made the other one a known negative.

    Args:
        logits: (B, K) or (B, K, *spatial).
        targets: the same shape, NaN where unknown, after `Relations.implied`.
        relations: the exclusions among the K classes.

    Returns:
        A scalar in [0, K - 1]; 0 with zero gradients if no such pair is unknown.
    """
    check_shapes(logits, targets)
    unknown = ~known_entries(targets)
    p = widened(logits).masked_fill(~unknown, -math.inf).sigmoid()
    rivals = contract(relations.exclusive, p)
    counted = unknown & (count(relations.exclusive, unknown) > 0)
    return masked_mean(p * rivals, counted, reduce=reduce)


def respectful_directions(
    probability: Tensor, targets: Tensor, raised: Tensor, relations: Relations
) -> tuple[Tensor, Tensor]:
    """Which unknown entries a pseudo-label may raise, and which get one at all, under the relations.

    Among classes that exclude each other at most the most probable unknown one is raised. Where a union is known to be
    present and no member is known or raised, its unknown members get no pseudo-label: pushing all of them down would
    contradict the label.

    Args:
        probability: a of the weak view, (B, K, *spatial), without gradient.
        targets: the same shape, after `Relations.implied`.
        raised: where a > tau.
        relations: among the K classes.

    Returns:
        raised and counted, booleans of the same shape.
    """
    known = known_entries(targets)
    unknown = ~known
    raised = raised & unknown
    if relations.has_exclusions:
        raised = raised & ~_beaten(probability, raised, relations)
    counted = unknown
    if relations.has_unions:
        claimed = raised | (known & (targets > 0.5))
        union_present = targets[:, relations.union_index] > 0.5  # NaN is not
        unclaimed = union_present & (count(relations.members, claimed) == 0)
        counted = unknown & (count(relations.members.T, unclaimed) == 0)
    return raised, counted


def competing_logits(logits: Tensor, relations: Relations) -> Tensor:
    """logit'_c = z_c - log(1 + sum of e^{z_b} over the classes b that exclude c).

    For classes that all exclude each other, sigmoid(logit'_c) is the softmax over them and a background of logit 0: at
    most one exceeds 1/2. Cross-entropy on a known entry is then the marginal loss of "c against all the rest", so that
    partly labelled voxels need no other loss. Classes without exclusions keep their logits.

    Args:
        logits: (B, K) or (B, K, *spatial).
        relations: the exclusions among the K classes.
    """
    if not relations.has_exclusions:
        return logits
    z = widened(logits)
    here = along(relations.is_rival, z.dim() - 2)
    rivals = z[:, relations.rival_index].masked_fill(~here, -math.inf)  # (B, R, M, *spatial)
    background = torch.zeros_like(rivals[:, :, :1])
    rest = torch.cat([background, rivals], dim=2).logsumexp(dim=2)
    return z.index_add(1, relations.rivalled, rest, alpha=-1).to(logits.dtype)


def _beaten(probability: Tensor, raised: Tensor, relations: Relations) -> Tensor:
    """Where a raised class that excludes this one is at least as probable; of two equal ones neither wins."""
    a = probability.masked_fill(~raised, -1.0)
    here = along(relations.is_rival, a.dim() - 2)
    best = a[:, relations.rival_index].masked_fill(~here, -1.0).amax(dim=2)
    beaten = torch.zeros_like(raised)
    beaten[:, relations.rivalled] = best >= probability[:, relations.rivalled]
    return beaten
