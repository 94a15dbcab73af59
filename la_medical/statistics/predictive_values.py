"""Positive and negative predictive value at a stated prevalence, from sensitivity and specificity.

A case-control cohort has its own prevalence; what a positive answer means elsewhere depends on the prevalence there.
"""

from __future__ import annotations

import math

from la_medical.errors import InputError
from la_medical.statistics.estimate import Estimate, undefined
from la_medical.statistics.intervals import normal_quantile


def ppv_npv(
    true_positives: int,
    positives: int,
    true_negatives: int,
    negatives: int,
    *,
    prevalence: float,
    confidence: float = 0.95,
) -> tuple[Estimate, Estimate]:
    """PPV and NPV by Bayes' rule, with intervals on the log-odds (Mercaldo, Lau and Zhou 2007).

    Args:
        true_positives, positives: sensitivity is their ratio.
        true_negatives, negatives: specificity is their ratio.
        prevalence: of the population meant, above 0 and below 1; taken as known without error.
        confidence: of the intervals.

    Where sensitivity or specificity is exactly 0 or 1 the interval is made from the adjusted counts
    (x + z^2/2)/(n + z^2), as the paper proposes; the estimate itself is not adjusted.
    """
    if not 0 < prevalence < 1:
        raise InputError(f"prevalence {prevalence}: expected a number between 0 and 1, such as 0.02")
    if not (0 <= true_positives <= positives and 0 <= true_negatives <= negatives):
        raise InputError(f"{true_positives}/{positives} and {true_negatives}/{negatives} are not proportions")
    method = f"Bayes at prevalence {prevalence:g}, log-odds {100 * confidence:g}%"
    if not positives or not negatives:
        absent = "positives" if not positives else "negatives"
        nothing = undefined(f"no {absent} with a known label", method=method)
        return nothing, nothing
    z2 = normal_quantile(confidence) ** 2
    plain = (true_positives / positives, true_negatives / negatives)
    extreme = any(value in (0.0, 1.0) for value in plain)
    if extreme:
        sensitivity = (true_positives + z2 / 2) / (positives + z2)
        specificity = (true_negatives + z2 / 2) / (negatives + z2)
        sizes = (positives + z2, negatives + z2)
        method += " (adjusted counts)"
    else:
        (sensitivity, specificity), sizes = plain, (positives, negatives)
    odds = prevalence / (1 - prevalence)
    ppv_centre = math.log(odds * sensitivity / (1 - specificity))
    npv_centre = math.log(specificity / (odds * (1 - sensitivity)))
    ppv_variance = (1 - sensitivity) / sensitivity / sizes[0] + specificity / (1 - specificity) / sizes[1]
    npv_variance = sensitivity / (1 - sensitivity) / sizes[0] + (1 - specificity) / specificity / sizes[1]
    ppv = _bayes(prevalence * plain[0], (1 - prevalence) * (1 - plain[1]))
    npv = _bayes((1 - prevalence) * plain[1], prevalence * (1 - plain[0]))
    z = math.sqrt(z2)
    return (
        _around(ppv, ppv_centre, z * math.sqrt(ppv_variance), method, "nothing is called positive"),
        _around(npv, npv_centre, z * math.sqrt(npv_variance), method, "nothing is called negative"),
    )


def _bayes(right: float, wrong: float) -> float:
    return right / (right + wrong) if right + wrong else math.nan


def _around(value: float, centre: float, spread: float, method: str, reason: str) -> Estimate:
    from scipy.special import expit

    if math.isnan(value):
        return undefined(reason, method=method)
    low, high = (float(expit(centre + side * spread)) for side in (-1, 1))
    return Estimate(value, min(value, low), max(value, high), method=method)
