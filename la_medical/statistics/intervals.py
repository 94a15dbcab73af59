"""Confidence intervals of a proportion k/n, and the parts that other intervals are made of."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from la_medical.errors import InputError
from la_medical.statistics.estimate import Estimate, undefined

Method = Literal["wilson", "clopper-pearson"]
NO_CASES = "the denominator is 0"
Bound = Any
"""float for scalar counts, an array for arrays of counts."""


def normal_quantile(confidence: float) -> float:
    """Two-sided normal quantile, 1.96 for 0.95; raises `InputError` outside 0..1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence}: expected a number between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Bound, Bound]:
    """Score interval of k successes in n trials (Wilson 1927; Newcombe 1998, method 3).

    Counts may be scalars or arrays that broadcast. n = 0 gives (NaN, NaN). At k = 0 the lower bound is exactly 0, at
    k = n the upper one exactly 1. Raises `InputError` for counts that are not 0 <= k <= n.
    """
    successes, trials = _counts(k, n)
    z2 = normal_quantile(confidence) ** 2
    with np.errstate(invalid="ignore"):
        middle = (successes + z2 / 2) / (trials + z2)
        spread = np.sqrt(z2 * (successes * (trials - successes) / trials + z2 / 4)) / (trials + z2)
    low = np.where(successes == 0, 0.0, middle - spread)
    high = np.where(successes == trials, 1.0, middle + spread)
    return _pair(low, high, trials)


def clopper_pearson(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Bound, Bound]:
    """Exact interval of k successes in n trials (Clopper and Pearson 1934), by quantiles of the beta distribution.

    Counts, n = 0 and errors as `wilson`.
    """
    from scipy.special import betaincinv

    successes, trials = _counts(k, n)
    normal_quantile(confidence)
    tail = (1 - confidence) / 2
    failures = trials - successes
    low = np.where(successes == 0, 0.0, betaincinv(np.maximum(successes, 1), failures + 1, tail))
    high = np.where(failures == 0, 1.0, betaincinv(successes + 1, np.maximum(failures, 1), 1 - tail))
    return _pair(low, high, trials)


_METHODS = {"wilson": wilson, "clopper-pearson": clopper_pearson}
_NAMES = {"wilson": "Wilson score", "clopper-pearson": "Clopper-Pearson exact"}


def proportion(
    k: int, n: int, *, method: Method = "wilson", confidence: float = 0.95, reason: str = NO_CASES
) -> Estimate:
    """k/n with its interval; undefined, for `reason`, when n is 0."""
    if method not in _METHODS:
        raise InputError(f"interval method {method!r}: expected one of {', '.join(_METHODS)}")
    if n == 0:
        return undefined(reason, method=_NAMES[method], numerator=int(k), denominator=0)
    low, high = _METHODS[method](k, n, confidence)
    named = f"{_NAMES[method]} {100 * confidence:g}%"
    return Estimate(k / n, float(low), float(high), numerator=int(k), denominator=int(n), method=named)


def logit_interval(estimate: float, standard_error: float, confidence: float = 0.95) -> tuple[float, float]:
    """Interval of a quantity in 0..1 by the delta method on its log-odds, so that it stays inside 0..1.

    NaN for an estimate of 0 or 1, where the log-odds are infinite.
    """
    from scipy.special import expit

    if not 0 < estimate < 1 or not math.isfinite(standard_error):
        return math.nan, math.nan
    centre = math.log(estimate / (1 - estimate))
    spread = normal_quantile(confidence) * standard_error / (estimate * (1 - estimate))
    return float(expit(centre - spread)), float(expit(centre + spread))


def _counts(k: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    successes, trials = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    if not ((successes >= 0) & (successes <= trials)).all():
        raise InputError(f"counts {k!r} of {n!r}: expected 0 <= k <= n")
    return successes, trials


def _pair(low: NDArray, high: NDArray, trials: NDArray) -> tuple[Bound, Bound]:
    low, high = (np.where(trials > 0, bound, np.nan) for bound in (low, high))
    return (low, high) if low.ndim else (float(low), float(high))
