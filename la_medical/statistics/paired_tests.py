"""Two models on the same patients, and several comparisons at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from la_medical.errors import InputError
from la_medical.statistics.auc import delong_covariance
from la_medical.statistics.bootstrap import Statistic, percentile_interval, replicate_values
from la_medical.statistics.intervals import normal_quantile
from la_medical.statistics.weighted import difference


@dataclass(frozen=True)
class Comparison:
    """`a` minus `b` with its interval and two-sided p-value; NaN where undefined, with the reason."""

    a: float = math.nan
    b: float = math.nan
    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_value: float = math.nan
    method: str = ""
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain content; NaN becomes null."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact p-value from the discordant counts (McNemar 1947): min(1, 2 P(X <= min)), X ~ Bin(n, 1/2).

    `only_a`: patients that only model a got right; `only_b`: only model b. Without discordant patients it is 1.
    """
    from scipy.special import bdtr

    if only_a < 0 or only_b < 0:
        raise InputError(f"discordant counts {only_a} and {only_b}: expected numbers from 0")
    return float(min(1.0, 2 * bdtr(float(min(only_a, only_b)), int(only_a + only_b), 0.5)))


def paired_proportions(success_a: ArrayLike, success_b: ArrayLike, *, confidence: float = 0.95) -> Comparison:
    """Difference of two proportions of the same patients (sensitivity of two models on the same positives).

    Interval: Tango's score interval (Tango 1998), whose lower end serves non-inferiority; p-value: exact McNemar. Both
    arguments are (N,) of 0 and 1.
    """
    first, second = (_outcomes(values) for values in (success_a, success_b))
    if first.shape != second.shape:
        raise InputError(f"{len(first)} and {len(second)} outcomes: the same patients are needed for both models")
    count = len(first)
    method = f"Tango score {100 * confidence:g}%, exact McNemar"
    if not count:
        return Comparison(method=method, reason="no patient to compare")
    only_a, only_b = int((first & ~second).sum()), int((~first & second).sum())
    low, high = tango(only_a, only_b, count, confidence)
    p_value = mcnemar_exact(only_a, only_b)
    a, b = float(first.mean()), float(second.mean())
    return Comparison(a, b, (only_a - only_b) / count, low, high, p_value, method=method)


def tango(only_a: int, only_b: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of (only_a - only_b)/count (Tango 1998, eq. 7-9), found by bisection."""
    z = normal_quantile(confidence)

    def score(delta: float) -> float:
        return _tango_score(only_a, only_b, count, delta)

    observed = (only_a - only_b) / count
    return _crossing(score, -1.0, observed, z), _crossing(score, observed, 1.0, -z)


def delong_paired(y_true: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, confidence: float = 0.95) -> Comparison:
    """Difference of two AUROCs on the same cases (DeLong et al. 1988), two-sided z-test."""
    method = f"DeLong paired {100 * confidence:g}%"
    truth = np.asarray(y_true)
    if not truth.any() or truth.all():
        return Comparison(method=method, reason="both positives and negatives are needed")
    areas, covariance = delong_covariance(y_true, np.stack([np.asarray(score_a), np.asarray(score_b)]))
    a, b = map(float, areas)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if math.isnan(variance):
        return Comparison(a, b, a - b, method=method, reason="fewer than 2 positives or 2 negatives")
    if variance <= 1e-15:  # identical rankings up to rounding
        if abs(a - b) < 1e-12:
            return Comparison(a, b, 0.0, 0.0, 0.0, 1.0, method=method, reason="the two models rank alike")
        return Comparison(a, b, a - b, method=method, reason="DeLong's variance is 0")
    error = math.sqrt(variance)
    spread = normal_quantile(confidence) * error
    p_value = 2 * NormalDist().cdf(-abs(a - b) / error)
    return Comparison(a, b, a - b, max(-1.0, a - b - spread), min(1.0, a - b + spread), p_value, method=method)


def bootstrap_difference(
    statistic_a: Statistic,
    statistic_b: Statistic,
    clusters: Sequence[Any] | NDArray,
    *,
    replicates: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    unit: str = "patient",
) -> Comparison:
    """Difference of any two statistics on the same draws of patients.

    The p-value is twice the smaller share of replicates on one side of 0, with one added to both counts (Davison and
    Hinkley 1997, eq. 4.11), so it is never 0.
    """
    everyone = np.ones((1, len(clusters)))
    a, b = float(statistic_a(everyone)[0]), float(statistic_b(everyone)[0])
    paired = difference(statistic_a, statistic_b)
    values = replicate_values([paired], clusters, replicates=replicates, seed=seed)[0]
    found = percentile_interval(values, a - b, confidence=confidence, unit=unit)
    defined = values[~np.isnan(values)]
    sides = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    p_value = min(1.0, 2 * (sides + 1) / (len(defined) + 1)) if len(defined) and found.defined else math.nan
    return Comparison(a, b, a - b, found.low, found.high, p_value, method=found.method, reason=found.reason)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values (Holm 1979), in the order given; NaN entries are no comparison and stay NaN."""
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = given.copy()
    there = np.flatnonzero(~np.isnan(given))
    order = there[np.argsort(given[there])]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * given[order]))
    return adjusted


def noninferiority(comparison: Comparison, margin: float) -> dict[str, Any]:
    """Whether `a` is worse than `b` by less than `margin`: the lower end of the interval lies above -margin.

    A two-sided 95% interval makes this a one-sided test at 2.5%.
    """
    if not margin > 0:
        raise InputError(f"non-inferiority margin {margin}: expected a number above 0, such as 0.05")
    known = not math.isnan(comparison.low)
    return {
        "margin": margin,
        "low": comparison.low if known else None,
        "non_inferior": bool(comparison.low > -margin) if known else None,
        "method": comparison.method,
        "reason": None if known else comparison.reason or "the interval is undefined",
    }


def _outcomes(values: ArrayLike) -> NDArray[np.bool_]:
    outcomes = np.asarray(values)
    if outcomes.ndim != 1 or (outcomes.dtype != np.bool_ and not np.isin(outcomes, (0, 1)).all()):
        raise InputError("outcomes must be a list of 0 and 1, one a patient")
    return outcomes.astype(bool)


def _tango_score(only_a: int, only_b: int, count: int, delta: float) -> float:
    """Score statistic at difference `delta`; q21 is the restricted maximum likelihood estimate of P(only b)."""
    linear = -only_a - only_b + (2 * count - only_a + only_b) * delta
    constant = -only_b * delta * (1 - delta)
    q21 = (math.sqrt(max(0.0, linear**2 - 8 * count * constant)) - linear) / (4 * count)
    variance = count * (2 * q21 + delta * (1 - delta))
    return (only_a - only_b - count * delta) / math.sqrt(max(variance, 1e-300))


def _crossing(score: Any, low: float, high: float, level: float) -> float:
    """Where the score, which falls with delta, crosses `level` in low..high."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > level else (low, middle)
    return (low + high) / 2
