"""The figures that scikit-learn has too, under its names and with its arguments.

`roc_curve` is that of `auc`. Two things differ: a figure that is undefined is NaN, where scikit-learn warns or raises,
and labels other than 0 and 1, or scores that are not finite, are an `InputError`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from la_medical.errors import InputError
from la_medical.statistics.auc import auroc, average_precision, partial_auc, roc_curve
from la_medical.statistics.calibration import brier, reliability

__all__ = ["average_precision_score", "brier_score_loss", "calibration_curve", "roc_auc_score", "roc_curve"]


def roc_auc_score(y_true: ArrayLike, y_score: ArrayLike, *, max_fpr: float | None = None) -> float:
    """Area under the ROC curve; with `max_fpr` the standardised part below it (McClish 1989)."""
    if max_fpr is None:
        return auroc(y_true, y_score)
    if not 0 < max_fpr <= 1:
        raise InputError(f"max_fpr {max_fpr}: expected 0 < value <= 1")
    return partial_auc(y_true, y_score, min_specificity=1 - max_fpr)


def average_precision_score(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Sum of (R_i - R_{i-1}) P_i over distinct thresholds."""
    return average_precision(y_true, y_score)


def brier_score_loss(y_true: ArrayLike, y_proba: ArrayLike) -> float:
    """Mean squared difference of probability and outcome."""
    return brier(y_true, y_proba)


def calibration_curve(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    n_bins: int = 5,
    strategy: Literal["uniform", "quantile"] = "uniform",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Observed rate and mean probability of each bin that holds a case; `calibration.reliability` has intervals too.

    A probability on the edge of two bins belongs to the upper one (scikit-learn: to the lower one).
    """
    found = reliability(y_true, y_prob, bins=n_bins, strategy=strategy)
    return found.observed, found.mean_probability
