"""Whether a probability of 0.8 is right eight times in ten."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from la_medical.errors import InputError
from la_medical.statistics.auc import checked
from la_medical.statistics.intervals import wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """One entry for each bin that holds a case: its edges, cases, mean probability, observed rate and its interval."""

    low_edge: Floats
    high_edge: Floats
    count: NDArray[np.int64]
    positives: NDArray[np.int64]
    mean_probability: Floats
    observed: Floats
    observed_low: Floats
    observed_high: Floats


def reliability(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    bins: int = 10,
    strategy: Literal["uniform", "quantile"] = "uniform",
    confidence: float = 0.95,
) -> Reliability:
    """Cases in bins of predicted probability, with Wilson intervals of the observed rate.

    `uniform` bins have equal width on 0..1, `quantile` bins about equally many cases (equal probabilities are never
    torn apart). A bin includes its lower edge, the last one both. Empty bins are left out.
    """
    truth, probability = checked_probabilities(y_true, y_prob)
    if bins < 1:
        raise InputError(f"{bins} reliability bins: expected at least 1")
    if strategy not in ("uniform", "quantile"):
        raise InputError(f"strategy {strategy!r} of reliability bins: expected uniform or quantile")
    edges = np.linspace(0, 1, bins + 1)
    if strategy == "quantile" and len(probability):
        edges = np.unique(np.r_[0, np.quantile(probability, edges[1:-1]), 1])
    which = np.minimum(np.searchsorted(edges, probability, side="right") - 1, len(edges) - 2)
    count = np.bincount(which, minlength=len(edges) - 1)
    filled = count > 0
    positives = np.bincount(which, weights=truth, minlength=len(edges) - 1).astype(np.int64)[filled]
    total = np.bincount(which, weights=probability, minlength=len(edges) - 1)[filled]
    low, high = wilson(positives, count[filled], confidence)
    return Reliability(
        low_edge=edges[:-1][filled],
        high_edge=edges[1:][filled],
        count=count[filled],
        positives=positives,
        mean_probability=total / count[filled],
        observed=positives / count[filled],
        observed_low=np.asarray(low),
        observed_high=np.asarray(high),
    )


def brier(y_true: ArrayLike, y_prob: ArrayLike) -> float:
    """Mean squared difference of probability and outcome (Brier 1950); NaN without cases."""
    truth, probability = checked_probabilities(y_true, y_prob)
    return float(((probability - truth) ** 2).mean()) if len(truth) else math.nan


def expected_calibration_error(
    y_true: ArrayLike, y_prob: ArrayLike, *, bins: int = 10, strategy: Literal["uniform", "quantile"] = "uniform"
) -> float:
    """Mean over cases of |observed rate - mean probability| of their bin (Naeini 2015); NaN without cases.

    It depends on the bins and is above 0 by chance alone in small samples.
    """
    found = reliability(y_true, y_prob, bins=bins, strategy=strategy)
    if not found.count.sum():
        return math.nan
    return float((found.count * np.abs(found.observed - found.mean_probability)).sum() / found.count.sum())


def checked_probabilities(y_true: ArrayLike, y_prob: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    """As `auc.checked`, and every probability in 0..1."""
    truth, probability = checked(y_true, y_prob)
    if ((probability < 0) | (probability > 1)).any():
        raise InputError("y_prob holds values outside 0..1; calibration needs probabilities, not logits")
    return truth, probability
