"""Statistics as functions of bootstrap weights (B, N) -> (B,), sorted once and then only summed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from la_medical.statistics.auc import checked

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]


def auroc(y_true: ArrayLike, y_score: ArrayLike) -> Statistic:
    """AUROC with ties counted half; NaN for replicates without positives or without negatives."""
    truth, score = checked(y_true, y_score)
    order = np.argsort(score)
    hits, starts = truth[order], _group_starts(score[order])

    def statistic(drawn: Floats) -> Floats:
        sorted_weights = drawn[:, order]
        positive = _by_group(sorted_weights * hits, starts)
        negative = _by_group(sorted_weights * ~hits, starts)
        below = np.cumsum(negative, axis=1) - negative / 2
        return _ratio((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))

    return statistic


def average_precision(y_true: ArrayLike, y_score: ArrayLike) -> Statistic:
    """Average precision; NaN for replicates without positives."""
    truth, score = checked(y_true, y_score)
    order = np.argsort(-score)
    hits, starts = truth[order], _group_starts(score[order])

    def statistic(drawn: Floats) -> Floats:
        sorted_weights = drawn[:, order]
        gained = _by_group(sorted_weights * hits, starts)
        called = np.cumsum(_by_group(sorted_weights, starts), axis=1)
        precision = np.cumsum(gained, axis=1) / np.maximum(called, np.finfo(np.float64).tiny)
        return _ratio((gained * precision).sum(axis=1), gained.sum(axis=1))

    return statistic


def rate(successes: ArrayLike, among: ArrayLike | None = None) -> Statistic:
    """Weighted sum of `successes` (N,) over that of `among` (N,; all cases by default).

    Sensitivity is `rate(positive & called, positive)`; false positives a patient is `rate(false_positives)`.
    """
    top = np.asarray(successes)
    bottom = np.ones_like(top) if among is None else np.asarray(among)
    return lambda drawn: _ratio(drawn @ top, drawn @ bottom)


def difference(one: Statistic, other: Statistic) -> Statistic:
    """`one` minus `other` on the same draws: the comparison is paired."""
    return lambda drawn: one(drawn) - other(drawn)


def _group_starts(ordered: Floats) -> NDArray[np.int64]:
    """Where each run of equal scores starts."""
    return np.sort(np.unique(ordered, return_index=True)[1])


def _by_group(columns: Floats, starts: NDArray[np.int64]) -> Floats:
    return columns if len(starts) == columns.shape[1] else np.add.reduceat(columns, starts, axis=1)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
