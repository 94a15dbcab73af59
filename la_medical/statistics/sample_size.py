"""How many patients a planned study needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from la_medical.errors import InputError
from la_medical.statistics.auc import newcombe
from la_medical.statistics.intervals import clopper_pearson, normal_quantile, wilson

LARGEST = 1_000_000


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
    _check(expected=expected, bound=bound, power=power)
    if bound >= expected:
        raise InputError(f"lower bound {bound} is not below the expected {expected}: no sample size can show it")
    from scipy.stats import binom

    def reached(n: int) -> bool:
        low, high = 0, n + 1  # the bound rises with the count: the first one that passes is found by halving
        while low < high:
            middle = (low + high) // 2
            passes = float(clopper_pearson(middle, n, confidence)[0]) >= bound
            low, high = (low, middle) if passes else (middle + 1, high)
            if low > n:
                return False
        return float(binom.sf(low - 1, n, expected)) >= power

    near = max(1, int(0.5 * _normal_size(expected, bound, power, confidence)))
    run = 0
    for n in range(near, LARGEST):
        run = run + 1 if reached(n) else 0
        if run > 50:
            return n - 50
    raise InputError(f"more than {LARGEST} patients would be needed")


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
        if high > LARGEST * 100:
            raise InputError("the wanted width would need more than 100 million patients")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _normal_size(expected: float, bound: float, power: float, confidence: float) -> float:
    spread = normal_quantile(confidence) * math.sqrt(bound * (1 - bound))
    spread += NormalDist().inv_cdf(power) * math.sqrt(expected * (1 - expected))
    return (spread / (expected - bound)) ** 2
