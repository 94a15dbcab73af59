"""Intervals of proportions against published figures, scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.proportion import proportion_confint

from la_medical.errors import InputError
from la_medical.statistics.intervals import clopper_pearson, logit_interval, normal_quantile, proportion, wilson

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def test_published_example_of_newcombe_1998():
    # Newcombe (1998), Statistics in Medicine 17, table I: 81/263, methods 3 (score) and 5 (exact)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert clopper_pearson(81, 263) == pytest.approx((0.2527, 0.3676), abs=5e-5)
    # the same table, 0/20 and 1/29
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert clopper_pearson(1, 29) == pytest.approx((0.0009, 0.1776), abs=5e-5)


def test_exact_interval_without_failures_has_a_closed_form():
    # k = n: the lower bound solves p^n = 0.025
    assert clopper_pearson(10, 10) == pytest.approx((0.025 ** (1 / 10), 1.0))
    assert clopper_pearson(0, 10) == pytest.approx((0.0, 1 - 0.025 ** (1 / 10)))


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_equal_to_scipy_and_statsmodels(pair, confidence):
    k, n = pair
    test = binomtest(k, n)
    exact = test.proportion_ci(confidence, method="exact")
    score = test.proportion_ci(confidence, method="wilson")
    assert clopper_pearson(k, n, confidence) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert wilson(k, n, confidence) == pytest.approx((score.low, score.high), abs=1e-9)
    assert wilson(k, n, confidence) == pytest.approx(
        proportion_confint(k, n, alpha=1 - confidence, method="wilson"), abs=1e-9
    )


@given(counts)
def test_intervals_contain_the_estimate_and_stay_in_range(pair):
    k, n = pair
    for low, high in (wilson(k, n), clopper_pearson(k, n)):
        assert 0 <= low <= k / n <= high <= 1


@given(counts)
def test_the_complement_has_the_mirrored_interval(pair):
    k, n = pair
    for interval in (wilson, clopper_pearson):
        low, high = interval(k, n)
        assert interval(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_arrays_give_what_scalars_give():
    k, n = np.array([0, 3, 10, 0]), np.array([5, 9, 10, 0])
    for interval in (wilson, clopper_pearson):
        low, high = interval(k, n)
        for position in range(3):
            assert (low[position], high[position]) == interval(k[position], n[position])
        assert np.isnan(low[3])
        assert np.isnan(high[3])


def test_nothing_of_nothing_is_undefined_with_a_reason():
    assert all(math.isnan(bound) for bound in wilson(0, 0))
    found = proportion(0, 0, reason="no positives in split test")
    assert not found.defined
    assert found.to_dict() == {
        "estimate": None, "low": None, "high": None, "numerator": 0, "denominator": 0,
        "method": "Wilson score", "reason": "no positives in split test",
    }  # fmt: skip


def test_proportion_carries_counts_and_method():
    found = proportion(9, 41, method="clopper-pearson", confidence=0.9)
    assert (found.numerator, found.denominator, found.estimate) == (9, 41, 9 / 41)
    assert found.method == "Clopper-Pearson exact 90%"
    assert found.reason is None


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 4), (1, -1), (float("nan"), 3)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(InputError, match="0 <= k <= n"):
        wilson(k, n)


def test_impossible_confidence_and_method_are_refused():
    for interval in (wilson, clopper_pearson):
        with pytest.raises(InputError, match="confidence 95"):
            interval(1, 2, 95)
    with pytest.raises(InputError, match="'exact'"):
        proportion(1, 2, method="exact")


def test_logit_interval_is_symmetric_on_the_log_odds():
    low, high = logit_interval(0.9, 0.03)
    centre = math.log(0.9 / 0.1)
    # se on the log-odds: 0.03 / (0.9 * 0.1) = 1/3
    assert math.log(low / (1 - low)) == pytest.approx(centre - 1.959964 / 3, abs=1e-6)
    assert math.log(high / (1 - high)) == pytest.approx(centre + 1.959964 / 3, abs=1e-6)
    assert all(math.isnan(bound) for bound in logit_interval(1.0, 0.03))


def test_a_logit_interval_of_a_useless_estimate_is_everything():
    assert logit_interval(0.5, 1e6) == (0.0, 1.0)


@pytest.mark.parametrize("confidence", [0, 1, 1.5, -0.1])
def test_a_confidence_lies_between_0_and_1(confidence):
    with pytest.raises(InputError, match=f"confidence {confidence}: expected a number between 0 and 1"):
        normal_quantile(confidence)


def test_scalars_give_floats_and_columns_of_a_table_arrays():
    for interval in (wilson, clopper_pearson):
        assert [type(bound) for bound in interval(3, 9)] == [float, float]
        k, n = pd.Series([3, 0], dtype="Int64"), pd.Series([9, 5], dtype="Int64")
        for bound, expected in zip(interval(k, n), interval([3, 0], [9, 5]), strict=True):
            np.testing.assert_array_equal(bound, expected)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_counts_of_few_digits_lose_nothing(dtype):
    k, n = np.array([81, 0, 1]), np.array([263, 20, 29])
    for interval in (wilson, clopper_pearson):
        np.testing.assert_array_equal(interval(k.astype(dtype), n.astype(dtype)), interval(k, n))
