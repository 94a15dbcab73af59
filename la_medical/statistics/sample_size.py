"""How many patients a planned study needs."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from la_medical.errors import InputError
from la_medical.statistics.auc import newcombe
from la_medical.statistics.intervals import normal_quantile, wilson

LARGEST = 1 << 20
"""Patients that a power is computed for, at most."""


def for_width(expected: float, half_width: float, *, confidence: float = 0.95) -> int:
    """Patients of one kind so that the Wilson interval around `expected` is at most +- `half_width` wide.

    For a sensitivity these are patients with the disease, for a specificity patients without it.
    """
    _check(expected=expected, half_width=half_width)

    def enough(n: int) -> bool:
        low, high = wilson(expected * n, n, confidence)
        return bool((high - low) / 2 <= half_width)

    return _smallest(enough)


def for_lower_bound(expected: float, bound: float, *, power: float = 0.8, confidence: float = 0.95) -> int:
    """Patients of one kind so that, with probability `power`, the exact interval's lower end is at least `bound`.

    The power of an exact test does not rise steadily with n; the answer is the smallest n from which it stays above
    `power` for the next 50 sizes.
    """
    _check(expected=expected, bound=bound, power=power, confidence=confidence)
    if bound >= expected:
        raise InputError(f"lower bound {bound} is not below the expected {expected}: no sample size can show it")
    from scipy.stats import binom

    tail, largest = (1 - confidence) / 2, 1024
    while largest <= LARGEST:
        sizes = np.arange(1, largest + 51)
        # the exact interval lies above the bound from the first count that the bound itself gives with P <= tail
        reached = binom.sf(binom.isf(tail, sizes, bound), sizes, expected) >= power
        steady = np.flatnonzero(sliding_window_view(reached, 51).all(axis=1))
        if len(steady):
            return int(sizes[steady[0]])
        largest *= 4
    raise InputError(f"more than {LARGEST:,} patients would be needed")


def for_auc(
    expected: float, half_width: float, *, negatives_per_positive: float = 1.0, confidence: float = 0.95
) -> int:
    """Positives so that Newcombe's interval of an AUROC around `expected` is at most +- `half_width` wide."""
    _check(expected=expected, half_width=half_width)
    if not negatives_per_positive > 0:
        raise InputError(f"{negatives_per_positive} negatives per positive: expected a number above 0")

    def enough(n: int) -> bool:
        low, high = newcombe(expected, n, max(1, round(n * negatives_per_positive)), confidence)
        return (high - low) / 2 <= half_width

    return _smallest(enough)


def for_paired_difference(only_a: float, only_b: float, *, power: float = 0.8, confidence: float = 0.95) -> int:
    """Patients so that McNemar's test finds the difference of two models (Connor 1987).

    `only_a`, `only_b`: expected shares of patients that only one of the models gets right.
    """
    if not (only_a >= 0 and only_b >= 0 and only_a + only_b <= 1):
        raise InputError(f"shares {only_a} and {only_b} of patients: expected numbers from 0 that add up to at most 1")
    discordant, gap = only_a + only_b, abs(only_a - only_b)
    if not gap:
        raise InputError("the two shares are equal: there is no difference to find")
    _check(power=power)
    z, beta = normal_quantile(confidence), NormalDist().inv_cdf(power)
    root = z * math.sqrt(discordant) + beta * math.sqrt(max(0.0, discordant - gap**2))
    return math.ceil(root**2 / gap**2)


def cohort(positives: int, prevalence: float) -> int:
    """Consecutive patients to include so that `positives` of them have the disease on average."""
    _check(prevalence=prevalence)
    return math.ceil(positives / prevalence - 1e-9)


def _check(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise InputError(f"{name.replace('_', ' ')} {value}: expected a number between 0 and 1")


def _smallest(enough: Callable[[int], bool]) -> int:
    """Smallest n from 1 where a condition that stays true once true holds."""
    high = 1
    while not enough(high):
        high *= 2
        if high > 100_000_000:
            raise InputError("the wanted width would need more than 100 million patients")
    return bisect_left(range(1, high), True, key=enough) + 1
