"""Supervising the members of a union by a label that only names the union ("tumour").

p_u = 1 - prod_m (1 - p_m) over its members m. With softplus(z_m) = -log(1 - p_m), everything stays in log space:
S = sum_m softplus(z_m) is -log(1 - p_u), and -log p_u = -log(1 - exp(-S)).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from la_medical.losses.dice import batch_dice
from la_medical.losses.masked_mean import Reduce, known_entries, masked_mean, widened
from la_medical.losses.partial_label import check_shapes
from la_medical.losses.relations import Relations, along

_LOG_2 = math.log(2.0)


def union_terms(
    logits: Tensor,
    targets: Tensor,
    relations: Relations,
    normalisation: str = "global",
    smoothing: float = 1.0,
    reduce: Reduce | None = None,
    competing: bool = False,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and batch Dice of the derived p_u against the union's label, where it says more than its members.

    Where the union is 1, members known to be negative stay out of the product. Where every member is known, or one is
    known to be present, the union's label says nothing new: such entries add 0 to the mean of the cross-entropy, and
    a sample without any other entry takes no part in either term. So a source that names the members is not counted
    twice.

    Args:
        logits: (B, K) or (B, K, *spatial).
        targets: the same shape, NaN where unknown.
        relations: the unions among the K classes.
        normalisation: of the cross-entropy, as in `masked_mean`; `per_class` is per union.
        smoothing: of the Dice, as in `batch_dice`.
        reduce: as in `masked_mean` and `batch_dice`.
        competing: as in `union_log_probabilities`.

    Returns:
        Two scalars; 0 with zero gradients if no union says anything.
    """
    check_shapes(logits, targets)
    labels, taking_part, news = _teaching(targets, relations)
    log_p, log_q = union_log_probabilities(logits, relations, taking_part, competing)
    entries = torch.where(news, -torch.where(labels > 0.5, log_p, log_q), 0)
    return masked_mean(entries, known_entries(labels), normalisation, reduce), batch_dice(
        log_p.exp(), labels, smoothing, reduce
    )


def _teaching(targets: Tensor, relations: Relations) -> tuple[Tensor, Tensor, Tensor]:
    """The unions' labels (B, U, *spatial), NaN where they teach nothing; the members that take part (B, U, M, ...); and
    where the label says more than its members do (B, U, *spatial).

    Where a union teaches nothing none of its members takes part: garbage there stays out of the gradient.
    """
    labels = targets[:, relations.union_index]
    present = (labels > 0.5).unsqueeze(2)
    known, here = known_entries(targets), along(relations.is_member, targets.dim() - 2)
    absent, claimed = known & (targets <= 0.5), known & (targets > 0.5)
    taking_part = ~(absent[:, relations.member_index] & present) & here
    unknown_member = (~known[:, relations.member_index] & here).any(dim=2)
    news = known_entries(labels) & unknown_member & ~(claimed[:, relations.member_index] & here).any(dim=2)
    somewhere = news.flatten(2).any(dim=2) if news.dim() > 2 else news
    somewhere = somewhere.reshape(*somewhere.shape, *[1] * (news.dim() - 2))
    # Present, and every member known to be absent, is a contradiction: nothing can be blamed for it.
    teaching = known_entries(labels) & taking_part.any(dim=2) & somewhere
    return torch.where(teaching, labels, math.nan), taking_part & teaching.unsqueeze(2), news & teaching


def union_log_probabilities(
    logits: Tensor, relations: Relations, taking_part: Tensor | None = None, competing: bool = False
) -> tuple[Tensor, Tensor]:
    """log p_u and log(1 - p_u), each (B, U, *spatial), from the logits of the members.

    Args:
        logits: (B, K, *spatial).
        relations: U unions of at most M members among K classes.
        taking_part: booleans (B, U, M, *spatial); a member that does not take part counts as absent. A union of
            which none does has p_u = 0; its log p_u is the lowest finite number, without gradient.
        competing: the members exclude each other and share one softmax with a background of logit 0
            (`competing_logits`, of which `logits` are the input). p_u is then the sum of their shares, whose logit
            is log(sum of e^{z_m}); 1 - prod(1 - p_m) would be less than that and would reward picking one member.
    """
    here = along(relations.is_member, logits.dim() - 2)
    if taking_part is not None:
        here = here & taking_part
    z = torch.where(here, widened(logits)[:, relations.member_index], 0)  # (B, U, M, *spatial)
    lowest = torch.finfo(z.dtype).min
    if competing:
        logit = torch.where(here, z, lowest).logsumexp(dim=2)
        return functional.logsigmoid(logit), functional.logsigmoid(-logit)
    total = torch.where(here, functional.softplus(z), 0).sum(dim=2)
    log_total = torch.where(here, _log_softplus(z), lowest).logsumexp(dim=2)
    return _log_one_minus_exp(total, log_total), -total


def _log_one_minus_exp(total: Tensor, log_total: Tensor) -> Tensor:
    """log(1 - exp(-S)) from S >= 0 and log S, in three ranges so that neither value nor gradient is lost."""
    small, large = total < 1e-3, total > _LOG_2
    # Each branch gets harmless numbers where it is not used: the gradient of an unused infinity would be NaN.
    s = torch.where(small, total, 0)
    series = log_total - s / 2 + s.square() / 24  # - s^4 / 2880, beyond double precision
    middle = torch.log(-torch.expm1(-torch.where(small | large, _LOG_2, total)))
    saturated = torch.log1p(-torch.exp(-torch.where(large, total, 1.0)))
    return torch.where(small, series, torch.where(large, saturated, middle))


def _log_softplus(z: Tensor) -> Tensor:
    """log(softplus(z)), by its series in e^z where softplus would round or underflow."""
    low = z < -12
    e = torch.exp(torch.where(low, z, -12.0))
    series = z - e / 2 + 5 * e.square() / 24  # - e^3 / 8, beyond double precision
    return torch.where(low, series, torch.log(functional.softplus(torch.where(low, 0.0, z))))
