"""Partial area under the ROC curve at high specificity, as a function of bootstrap weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def partial_auroc(truth: NDArray[np.bool_], score: Floats, *, min_specificity: float) -> Callable[[Floats], Floats]:
    """Weights (B, N) -> (B,): area where specificity >= `min_specificity`, standardised to 0.5..1 (McClish 1989).

    NaN for replicates without positives or without negatives. With every weight 1 it is `statistics.auc.partial_auc`.
    """
    order = np.argsort(-score)
    ordered = score[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    hits = truth[order]
    width = 1 - min_specificity
    chance = width**2 / 2

    def statistic(drawn: Floats) -> Floats:
        weights = drawn[:, order]
        tpr = _rates(np.add.reduceat(weights * hits, starts, axis=1))
        fpr = _rates(np.add.reduceat(weights * ~hits, starts, axis=1))
        step, rise = np.diff(fpr), np.diff(tpr)
        inside = np.clip(width - fpr[:, :-1], 0, step)
        part = inside / np.where(step > 0, step, 1)
        area = (inside * (tpr[:, :-1] + part * rise / 2)).sum(axis=1)
        return 0.5 * (1 + (area - chance) / (width - chance))

    return statistic


def _rates(gained: Floats) -> Floats:
    """Cumulative share from 0 to 1 along the second axis; NaN where there is nothing."""
    total = np.cumsum(gained, axis=1)
    rates = total / np.where(total[:, -1:] > 0, total[:, -1:], np.nan)
    return np.concatenate([np.zeros((len(rates), 1)), rates], axis=1)
