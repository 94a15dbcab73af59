"""Sample sizes against a search through every size."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
from scipy.stats import binom

from la_medical.errors import InputError
from la_medical.statistics import sample_size
from la_medical.statistics.auc import newcombe
from la_medical.statistics.intervals import clopper_pearson, wilson


def powers(expected: float, bound: float, confidence: float, sizes: int) -> np.ndarray:
    """Probability, for each n from 1, that the exact interval's lower end is at least `bound`."""
    found = []
    for n in range(1, sizes + 1):
        passing = [k for k in range(n + 1) if clopper_pearson(k, n, confidence)[0] >= bound]
        found.append(binom.pmf(passing, n, expected).sum())
    return np.array(found)


@pytest.mark.parametrize(
    ("expected", "bound", "power", "confidence"), [(0.9, 0.7, 0.8, 0.95), (0.8, 0.5, 0.7, 0.9), (0.95, 0.6, 0.9, 0.8)]
)
def test_a_lower_bound_against_every_size(expected, bound, power, confidence):
    enough = powers(expected, bound, confidence, 160) >= power
    first = next(n for n in range(100) if enough[n : n + 51].all()) + 1
    assert sample_size.for_lower_bound(expected, bound, power=power, confidence=confidence) == first


def test_a_power_that_is_met_exactly_is_enough():
    """The smallest power of 51 sizes in a row, taken as the wanted one."""
    sizes = np.arange(1, 200)
    reached = binom.sf(binom.isf(0.025, sizes, 0.5), sizes, 0.9)
    wanted = reached[29:80].min()
    first = next(n for n in range(100) if (reached[n : n + 51] >= wanted).all())
    assert sample_size.for_lower_bound(0.9, 0.5, power=wanted) == sizes[first] <= 30


def test_a_power_has_to_hold_for_51_sizes():
    """Here the 52nd falls below; the first size is the answer all the same."""
    sizes = np.arange(1, 300)
    reached = binom.sf(binom.isf(0.025, sizes, 0.98), sizes, 0.99)
    wanted = reached[182:233].min()
    assert reached[181] < wanted > reached[233]
    assert sample_size.for_lower_bound(0.99, 0.98, power=wanted) == 183


def test_one_patient_may_show_a_bound_that_is_low_enough():
    """The exact interval of 1 of 1 begins at 0.025."""
    assert sample_size.for_lower_bound(0.99, 0.02) == 1
    assert sample_size.for_lower_bound(0.99, 0.03) > 1


def test_80_percent_power_and_95_percent_confidence_unless_asked():
    assert sample_size.for_lower_bound(0.9, 0.75) == sample_size.for_lower_bound(0.9, 0.75, power=0.8, confidence=0.95)
    assert sample_size.for_lower_bound(0.9, 0.75) < sample_size.for_lower_bound(0.9, 0.75, power=0.9)
    assert sample_size.for_lower_bound(0.9, 0.75) > sample_size.for_lower_bound(0.9, 0.75, confidence=0.9)


def test_a_large_study_is_found_and_one_beyond_reach_refused(monkeypatch):
    # by the normal approximation ((1.96 sqrt(0.88 x 0.12) + 0.84 sqrt(0.9 x 0.1)) / 0.02)^2 = 1,975
    monkeypatch.setattr(sample_size, "LARGEST", 4096)
    assert sample_size.for_lower_bound(0.9, 0.88) == pytest.approx(1975, rel=0.03)
    with pytest.raises(InputError, match="more than 4,096 patients would be needed"):
        sample_size.for_lower_bound(0.9, 0.89)


@pytest.mark.parametrize("confidence", [0.95, 0.8])
@pytest.mark.parametrize(("expected", "half"), [(0.9, 0.05), (0.5, 0.45), (0.5, 0.005), (0.97, 0.1)])
def test_a_width_against_every_size(expected, half, confidence):
    sizes = np.arange(1, 60_000)
    low, high = wilson(expected * sizes, sizes, confidence)
    assert sample_size.for_width(expected, half, confidence=confidence) == sizes[(high - low) / 2 <= half][0]


def test_a_width_that_is_met_exactly_is_enough():
    low, high = wilson(0.8 * 50, 50)
    assert sample_size.for_width(0.8, (high - low) / 2) == 50


@pytest.mark.parametrize(("ratio", "confidence"), [(0.1, 0.95), (1.0, 0.9), (2.5, 0.95)])
def test_an_area_against_every_size(ratio, confidence):
    def half(n: int) -> float:
        low, high = newcombe(0.9, n, max(1, round(n * ratio)), confidence)
        return (high - low) / 2

    found = sample_size.for_auc(0.9, 0.2, negatives_per_positive=ratio, confidence=confidence)
    assert found == next(n for n in count(1) if half(n) <= 0.2)
    assert sample_size.for_auc(0.9, half(12), negatives_per_positive=ratio, confidence=confidence) == 12


def test_one_patient_of_each_kind_may_be_enough():
    low, high = newcombe(0.5, 1, 1)
    assert sample_size.for_auc(0.5, (high - low) / 2) == 1


def test_as_many_negatives_as_positives_unless_asked():
    assert sample_size.for_auc(0.9, 0.05) == sample_size.for_auc(0.9, 0.05, negatives_per_positive=1, confidence=0.95)
    assert sample_size.for_auc(0.9, 0.05) > sample_size.for_auc(0.9, 0.05, negatives_per_positive=2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_size.for_auc(1.2, 0.1), "expected 1.2: expected a number between 0 and 1"),
        (lambda: sample_size.for_auc(0.9, 1.2), "half width 1.2: expected a number between 0 and 1"),
        (lambda: sample_size.for_lower_bound(1.2, 0.5), "expected 1.2: expected a number between 0 and 1"),
        (lambda: sample_size.for_lower_bound(0.9, -0.5), "bound -0.5: expected a number between 0 and 1"),
        (lambda: sample_size.for_lower_bound(0.9, 0.5, power=1), "power 1: expected a number between 0 and 1"),
        (lambda: sample_size.for_lower_bound(0.9, 0.5, confidence=95), "confidence 95: expected a number between"),
        (lambda: sample_size.for_width(0.5, 1e-6), "the wanted width would need more than 100 million patients"),
    ],
)
def test_shares_beyond_0_and_1_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
