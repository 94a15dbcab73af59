"""Area under the ROC curve with DeLong's variance, the curve itself, and areas of parts of it.

Arguments come in scikit-learn's order, `(y_true, y_score)`: y_true (N,) of 0 and 1, y_score (N,) where higher means
more positive. Ties count one half. What is undefined is NaN, with a reason where an `Estimate` is returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from la_medical.errors import InputError
from la_medical.statistics.estimate import Estimate, undefined
from la_medical.statistics.intervals import logit_interval, normal_quantile

Floats = NDArray[np.float64]


def checked(y_true: ArrayLike, y_score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """Both as arrays; raises `InputError` for unequal length, truths other than 0 and 1, or NaN scores."""
    truth, score = np.asarray(y_true), np.asarray(y_score, dtype=np.float64)
    if truth.ndim != 1 or score.shape[-1:] != truth.shape:
        raise InputError(f"y_true of shape {truth.shape} and y_score of shape {score.shape}: expected (N,) and (N,)")
    if truth.dtype != np.bool_ and not np.isin(truth, (0, 1)).all():
        raise InputError("y_true holds values other than 0 and 1; leave out cases whose label is not known")
    if np.isnan(score).any():
        raise InputError(f"y_score holds {int(np.isnan(score).sum())} NaN; decide first what a missing score means")
    return truth.astype(bool), score


def auroc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """P(score of a positive > score of a negative) + P(equal)/2; NaN without both kinds."""
    truth, score = checked(y_true, y_score)
    if truth.all() or not truth.any():
        return math.nan
    return float(_placements(score[truth], score[~truth]).mean())


def delong(
    y_true: ArrayLike, y_score: ArrayLike, *, confidence: float = 0.95, scale: Literal["plain", "logit"] = "plain"
) -> Estimate:
    """AUROC with DeLong's interval (DeLong, DeLong and Clarke-Pearson 1988).

    `plain` is symmetric and cut to 0..1, as pROC reports it; `logit` is symmetric on the log-odds and keeps its level
    better near 1. Where DeLong's variance is 0 or undefined (perfect separation, fewer than two positives or
    negatives) its interval would be a point: Newcombe's score interval is given instead, and `method` says so.
    """
    truth, score = checked(y_true, y_score)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return undefined(_one_sided(positives, negatives), method="DeLong", denominator=len(truth))
    areas, covariance = delong_covariance(truth, score[None])
    area, variance = float(areas[0]), float(covariance[0, 0])
    if not variance > 0:
        low, high = newcombe(area, positives, negatives, confidence)
        why = "fewer than 2 of a kind" if min(positives, negatives) < 2 else "DeLong's variance is 0"
        return Estimate(area, low, high, method=f"Newcombe score {100 * confidence:g}% ({why})")
    if scale == "logit":
        low, high = logit_interval(area, math.sqrt(variance), confidence)
    else:
        spread = normal_quantile(confidence) * math.sqrt(variance)
        low, high = max(0.0, area - spread), min(1.0, area + spread)
    named = "DeLong" if scale == "plain" else "DeLong on the log-odds"
    return Estimate(area, low, high, method=f"{named} {100 * confidence:g}%")


def delong_covariance(y_true: ArrayLike, y_scores: ArrayLike) -> tuple[Floats, Floats]:
    """AUROCs (M,) of M scores on the same cases, and their covariance (M, M).

    Args:
        y_true: (N,), with at least one positive and one negative.
        y_scores: (M, N).

    The covariance is S10/m + S01/n of the placement values (DeLong et al., eq. 4-6), computed by sorting (Sun and Xu
    2014) in O(M N log N); NaN where there are fewer than two positives or two negatives.
    """
    truth, scores = checked(y_true, y_scores)
    by_positive = np.stack([_placements(score[truth], score[~truth]) for score in scores])
    by_negative = np.stack([_placements(score[~truth], score[truth]) for score in scores])  # of 1 - it, the same
    areas = by_positive.mean(axis=1)
    models, positives, negatives = len(scores), by_positive.shape[1], by_negative.shape[1]
    if min(positives, negatives) < 2:
        return areas, np.full((models, models), np.nan)
    s10 = np.cov(by_positive).reshape(models, models)
    s01 = np.cov(by_negative).reshape(models, models)
    return areas, s10 / positives + s01 / negatives


def newcombe(area: float, positives: int, negatives: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of an AUROC (Newcombe 2006, part 2, method 5), defined at 0 and 1 too.

    Solves |area - t| = z sqrt(V(t)) with V(t) = t(1-t) [1 + (N*-1)((1-t)/(2-t) + t/(1+t))] / (mn), N* = (m+n)/2.
    """
    z2, half = normal_quantile(confidence) ** 2, (positives + negatives) / 2 - 1

    def excess(t: float) -> float:
        variance = t * (1 - t) * (1 + half * ((1 - t) / (2 - t) + t / (1 + t))) / (positives * negatives)
        return (area - t) ** 2 - z2 * variance

    return _bisect(excess, 0.0, area), _bisect(excess, 1.0, area)


class RocCurve(NamedTuple):
    """All points of the curve from (0, 0) to (1, 1); a case is called positive when score >= threshold.

    Unpacks as scikit-learn's: `fpr, tpr, thresholds = roc_curve(y_true, y_score)`.
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats


def roc_curve(y_true: ArrayLike, y_score: ArrayLike) -> RocCurve:
    """One point for each distinct score, after the point at threshold inf where nothing is positive.

    The lowest score is a point too: there everything is positive, (1, 1). Rates are NaN without their denominator.
    """
    truth, score = checked(y_true, y_score)
    true_positives, false_positives, thresholds = _cumulative(truth, score)
    with np.errstate(invalid="ignore"):
        tpr = np.r_[0, true_positives] / (np.float64(truth.sum()))
        fpr = np.r_[0, false_positives] / (np.float64((~truth).sum()))
    return RocCurve(fpr=fpr, tpr=tpr, thresholds=np.r_[np.inf, thresholds])


def average_precision(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Sum of (R_i - R_{i-1}) P_i over distinct thresholds, as scikit-learn; NaN without positives."""
    truth, score = checked(y_true, y_score)
    if not truth.any():
        return math.nan
    true_positives, false_positives, _ = _cumulative(truth, score)
    precision = true_positives / (true_positives + false_positives)
    recall = np.r_[0, true_positives] / truth.sum()
    return float((np.diff(recall) * precision).sum())


def partial_auc(
    y_true: ArrayLike, y_score: ArrayLike, *, min_specificity: float = 0.9, standardised: bool = True
) -> float:
    """Area of the ROC curve where specificity >= `min_specificity`, by trapezoids.

    `standardised` puts it on 0.5 (chance) to 1 (McClish 1989), as scikit-learn's `max_fpr`; otherwise it is the area
    divided by its width, the mean sensitivity over that range. NaN without both kinds.
    """
    if not 0 <= min_specificity < 1:
        raise InputError(f"minimum specificity {min_specificity}: expected 0 <= value < 1")
    truth, score = checked(y_true, y_score)
    if truth.all() or not truth.any():
        return math.nan
    curve, width = roc_curve(truth, score), 1 - min_specificity
    inside = curve.fpr <= width
    fpr, tpr = curve.fpr[inside], curve.tpr[inside]
    if not inside.all():
        after = int(np.argmin(inside))
        part = (width - fpr[-1]) / (curve.fpr[after] - fpr[-1])
        fpr, tpr = np.r_[fpr, width], np.r_[tpr, tpr[-1] + part * (curve.tpr[after] - tpr[-1])]
    area = float(np.trapezoid(tpr, fpr))
    if not standardised:
        return area / width
    chance = width**2 / 2
    return 0.5 * (1 + (area - chance) / (width - chance))


def _placements(these: Floats, others: Floats) -> Floats:
    """For each of `these`, the fraction of `others` below it, equal ones counted half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, these) + np.searchsorted(ordered, these, "right")) / (2 * len(others))


def _cumulative(truth: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, Floats]:
    """True and false positives at each distinct score, from the highest down, and those scores."""
    order = np.argsort(-score)
    ordered, hits = score[order], truth[order]
    last = (
        np.r_[np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1] if len(ordered) else np.empty(0, dtype=int)
    )
    found = np.cumsum(hits)[last].astype(np.float64)
    return found, last + 1 - found, ordered[last]


def _one_sided(positives: int, negatives: int) -> str:
    absent = [kind for kind, count in (("positives", positives), ("negatives", negatives)) if not count]
    return f"no {' and no '.join(absent)} with a known label"


def _bisect(excess: Callable[[float], float], outside: float, inside: float) -> float:
    """Where `excess` turns from positive at `outside` to negative towards `inside`."""
    for _ in range(80):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excess(middle) > 0 else (outside, middle)
    return (outside + inside) / 2
