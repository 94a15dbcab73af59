"""Every field of a comparison of two models."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from la_medical.statistics import paired_tests as paired
from la_medical.statistics import weighted
from la_medical.statistics.bootstrap import percentile_interval, replicate_values
from la_medical.statistics.paired_tests import Comparison

NAN = math.nan


def same(found: Comparison, expected: Comparison) -> None:
    assert found.to_dict() == pytest.approx(expected.to_dict(), abs=1e-9)


def test_proportions_in_full():
    """Right: a 6 of 8, b 4 of 8; only a 3, only b 1."""
    a, b = [1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 1, 0]
    low, high = paired.tango(3, 1, 8, 0.9)
    # exact McNemar: 2 (C(4,0) + C(4,1)) / 2^4
    method = "Tango score 90%, exact McNemar"
    expected = Comparison(0.75, 0.5, 0.25, low, high, 10 / 16, method)
    same(paired.paired_proportions(a, b, confidence=0.9), expected)
    same(
        paired.paired_proportions([], []),
        Comparison(method="Tango score 95%, exact McNemar", reason="no patient to compare"),
    )


def test_areas_in_full():
    truth = [1, 1, 1, 0, 0, 0]
    a, b = [5, 2.5, 3, 2, 1, 2.7], [5, 1.5, 3, 2, 1, 0]
    psi = [(np.array(score)[:3, None] > np.array(score)[None, 3:]).astype(float) for score in (a, b)]  # no ties
    one, other = (values.mean() for values in psi)
    by_positive, by_negative = ([values.mean(axis=axis) for values in psi] for axis in (1, 0))
    s10, s01 = np.cov(by_positive), np.cov(by_negative)
    covariance = s10 / 3 + s01 / 3
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert covariance[0, 1] != 0
    spread = 1.2815515655446004 * math.sqrt(variance)
    p_value = math.erfc(abs(one - other) / math.sqrt(2 * variance))
    gap = one - other
    expected = Comparison(one, other, gap, gap - spread, gap + spread, p_value, "DeLong paired 80%")
    same(paired.delong_paired(truth, a, b, confidence=0.8), expected)


@pytest.mark.parametrize("turned", [False, True])
def test_the_interval_of_a_difference_ends_at_1(turned):
    truth, good, bad = [1, 1, 0, 0], [4, 3, 2, 1], [1, 2.5, 2, 3]
    found = paired.delong_paired(truth, *((bad, good) if turned else (good, bad)), confidence=0.999)
    assert (found.low if turned else found.high) == (-1.0 if turned else 1.0)
    assert abs(found.high if turned else found.low) < 1


@pytest.mark.parametrize(
    ("truth", "a", "b", "expected"),
    [
        ([1, 1, 1], [1, 2, 3], [3, 1, 2], Comparison(reason="both positives and negatives are needed")),
        ([0, 0, 0], [1, 2, 3], [3, 1, 2], Comparison(reason="both positives and negatives are needed")),
        ([1, 0, 0], [2, 1, 3], [3, 1, 2], Comparison(0.5, 1.0, -0.5, reason="fewer than 2 positives or 2 negatives")),
        ([1, 1, 0, 0], [4, 2, 3, 1], [8, 4, 6, 2], Comparison(0.75, 0.75, 0, 0, 0, 1, "", "the two models rank alike")),
        ([1, 1, 0, 0], [4, 3, 2, 1], [1, 2, 3, 4], Comparison(1.0, 0.0, 1.0, reason="DeLong's variance is 0")),
        ([1, 1, 0, 0], [1, 1, 1, 1], [4, 3, 2, 1], Comparison(0.5, 1.0, -0.5, reason="DeLong's variance is 0")),
    ],
)  # fmt: skip
def test_areas_that_cannot_be_compared(truth, a, b, expected):
    found = paired.delong_paired(truth, a, b, confidence=0.9)
    same(found, Comparison(**{**expected.__dict__, "method": "DeLong paired 90%"}))


def test_scores_from_a_table_with_missing_values_allowed():
    truth, score = [1, 1, 0, 0], [4, 2, 3, 1]
    column = pd.Series(score, dtype="Int64")
    assert paired.delong_paired(truth, column, column) == paired.delong_paired(truth, score, score)


def test_any_statistic_in_full():
    one, other = weighted.rate(np.arange(12) < 8), weighted.rate(np.arange(12) % 2 == 0)
    given = {"replicates": 99, "seed": 3}
    found = paired.bootstrap_difference(one, other, range(12), confidence=0.8, unit="scan", **given)
    values = replicate_values([weighted.difference(one, other)], range(12), **given)[0]
    interval = percentile_interval(values, 8 / 12 - 6 / 12, confidence=0.8, unit="scan")
    below, above = sum(value <= 0 for value in values), sum(value >= 0 for value in values)
    assert 0 < below < above
    p_value = 2 * (below + 1) / 100
    gap = 8 / 12 - 6 / 12
    same(found, Comparison(8 / 12, 6 / 12, gap, interval.low, interval.high, p_value, interval.method))
    turned = paired.bootstrap_difference(other, one, range(12), confidence=0.8, unit="scan", **given)
    assert (turned.p_value, turned.low) == (pytest.approx(p_value), pytest.approx(-interval.high))


def test_2000_replicates_by_patient_unless_asked():
    one, other = weighted.rate(np.arange(12) < 8), weighted.rate(np.arange(12) % 2 == 0)
    found = paired.bootstrap_difference(one, other, range(12))
    values = replicate_values([weighted.difference(one, other)], range(12), replicates=2000, seed=0)[0]
    interval = percentile_interval(values, 8 / 12 - 6 / 12)
    assert (found.low, found.high, found.method) == (interval.low, interval.high, interval.method)


def test_a_statistic_without_a_value():
    half = weighted.rate(np.ones(4))
    never = weighted.rate(np.ones(4), np.zeros(4))
    found = paired.bootstrap_difference(half, never, range(4), replicates=10)
    method = "percentile bootstrap 95% by patient, 10 replicates, 10 undefined"
    same(found, Comparison(a=1.0, method=method, reason="the statistic is undefined on the whole data"))


def test_a_difference_that_only_replicates_have_is_none():
    """Undefined with everybody drawn once, defined otherwise."""

    def odd(drawn: np.ndarray) -> np.ndarray:
        return np.where((drawn == 1).all(axis=1), NAN, drawn[:, 0])

    found = paired.bootstrap_difference(odd, weighted.rate(np.ones(4)), range(4), replicates=50)
    assert math.isnan(found.p_value)
    assert found.reason == "the statistic is undefined on the whole data"


def test_a_difference_that_no_replicate_has_is_stated_without_a_p_value():
    """Defined with everybody drawn once, undefined otherwise."""

    def even(drawn: np.ndarray) -> np.ndarray:
        return np.where((drawn == 1).all(axis=1), 0.5, NAN)

    found = paired.bootstrap_difference(even, weighted.rate(np.ones(9)), range(9), replicates=5)
    assert found.estimate == -0.5
    assert math.isnan(found.p_value)
    assert found.reason == "no interval: 5 of 5 replicates are undefined"


def test_adjusted_p_values_of_whole_numbers_and_equal_ones():
    np.testing.assert_allclose(paired.holm([0, 1]), [0, 1])
    np.testing.assert_allclose(paired.holm([0.03, 0.02, 0.03, 0.02]), [0.08, 0.08, 0.08, 0.08])


def test_one_patient_whom_both_models_find():
    """The closed form of nobody discordant, z^2 / (n + z^2), for n = 1."""
    z2 = 1.959963984540054**2
    assert paired.tango(0, 0, 1) == pytest.approx((-z2 / (1 + z2), z2 / (1 + z2)))
