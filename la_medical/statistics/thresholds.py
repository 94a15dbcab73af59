"""Choosing a score threshold. A case is called positive when score >= threshold, everywhere in this project."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from la_medical.errors import InputError
from la_medical.statistics.auc import checked, roc_curve


def for_specificity(y_true: ArrayLike, y_score: ArrayLike, wanted: float) -> float:
    """The lowest observed score at which specificity >= `wanted`: the most sensitive choice that keeps it.

    When no observed score keeps it (the highest belongs to too many negatives) the threshold lies just above the
    highest score, so nothing is called positive. NaN without negatives.
    """
    _check_wanted(wanted, "specificity")
    truth, score = checked(y_true, y_score)
    if truth.all():
        return math.nan
    curve = roc_curve(truth, score)
    # 1 - fpr would lose equality to rounding (1 - 2/100 != 0.98): compare counts of true negatives
    negatives = int((~truth).sum())
    true_negatives = negatives - np.rint(curve.fpr * negatives)
    kept = true_negatives >= wanted * negatives - 1e-9 * negatives
    return _threshold(curve.thresholds[kept].min(), float(score.max()))


def for_sensitivity(y_true: ArrayLike, y_score: ArrayLike, wanted: float) -> float:
    """The highest observed score at which sensitivity >= `wanted`; NaN without positives."""
    _check_wanted(wanted, "sensitivity")
    truth, score = checked(y_true, y_score)
    if not truth.any():
        return math.nan
    curve = roc_curve(truth, score)
    positives = int(truth.sum())
    kept = np.rint(curve.tpr * positives) >= wanted * positives - 1e-9 * positives
    return _threshold(curve.thresholds[kept].max(), float(score.max()))


def youden(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """The observed score that maximises sensitivity + specificity - 1 (Youden 1950); the highest such score on ties.

    NaN without both kinds.
    """
    truth, score = checked(y_true, y_score)
    if truth.all() or not truth.any():
        return math.nan
    curve = roc_curve(truth, score)
    gain = curve.tpr - curve.fpr
    best = np.flatnonzero(gain >= gain.max() - 1e-12)[0]
    return _threshold(curve.thresholds[best], float(score.max()))


def _threshold(chosen: float, highest: float) -> float:
    """`inf`, the start of the ROC curve, as the next number above the highest score: JSON has no infinity."""
    return float(chosen) if math.isfinite(chosen) else float(np.nextafter(highest, np.inf))


def _check_wanted(wanted: float, what: str) -> None:
    if not 0 < wanted <= 1:
        raise InputError(f"wanted {what} {wanted}: expected above 0 and at most 1, such as 0.98")
