"""Differences between two arms over the same seeds: paired and two-sample tests, and equivalence."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from la_medical.errors import InputError


@dataclass(frozen=True)
class SeedEffect:
    """Mean difference `a - b` over n seeds with its 95% interval; NaN where undefined.

    `paired_p`: paired t test. `two_sample_p`: Welch's t test, as if the seeds were not paired (the paper's way).
    `equivalence_p`: TOST (Schuirmann 1987) for |difference| < margin, the larger of its two one-sided p-values.
    """

    n: int
    mean_a: float
    mean_b: float
    estimate: float
    low: float
    high: float
    paired_p: float
    two_sample_p: float
    margin: float | None = None
    equivalence_p: float = math.nan


def seed_effect(a: ArrayLike, b: ArrayLike, *, margin: float | None = None) -> SeedEffect:
    """Compare the figures of two arms, `a[i]` and `b[i]` of one seed.

    Args:
        a: (n,) figures of the first arm.
        b: (n,) figures of the second.
        margin: half-width of the region of equivalence, in the unit of the figures.

    Raises:
        InputError: different lengths, or a margin that is not above 0.
    """
    from scipy import stats

    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.ndim != 1:
        raise InputError(f"figures of {first.shape} and {second.shape} seeds: the same seeds are needed for both arms")
    if margin is not None and not margin > 0:
        raise InputError(f"margin {margin}: expected a number above 0")
    n, nan = len(first), math.nan
    means = (float(first.mean()), float(second.mean())) if n else (nan, nan)
    if n < 2:
        return SeedEffect(n, *means, means[0] - means[1], nan, nan, nan, nan, margin)
    difference = first - second
    estimate, error = float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(n))
    if error < 1e-12:  # no spread but rounding, no test
        return SeedEffect(n, *means, estimate, estimate, estimate, nan, nan, margin)
    spread = float(stats.t.ppf(0.975, n - 1)) * error
    paired = float(2 * stats.t.sf(abs(estimate) / error, n - 1))
    welch = float(stats.ttest_ind(first, second, equal_var=False).pvalue)
    tost = nan
    if margin is not None:
        tost = float(
            max(stats.t.sf((estimate + margin) / error, n - 1), stats.t.sf((margin - estimate) / error, n - 1))
        )
    return SeedEffect(n, *means, estimate, estimate - spread, estimate + spread, paired, welch, margin, tost)


def mean_interval(values: ArrayLike) -> tuple[float, float, float]:
    """Mean over seeds and its 95% interval (t); the interval is NaN for fewer than two seeds."""
    from scipy import stats

    given = np.asarray(values, dtype=float)
    given = given[~np.isnan(given)]
    if not len(given):
        return math.nan, math.nan, math.nan
    mean = float(given.mean())
    if len(given) < 2:
        return mean, math.nan, math.nan
    spread = float(stats.t.ppf(0.975, len(given) - 1) * given.std(ddof=1) / math.sqrt(len(given)))
    return mean, mean - spread, mean + spread
