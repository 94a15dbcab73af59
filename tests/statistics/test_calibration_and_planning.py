"""Thresholds, predictive values, calibration and sample sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import brier_score_loss

from la_medical.errors import InputError
from la_medical.statistics import calibration, sample_size, thresholds
from la_medical.statistics.intervals import clopper_pearson, wilson
from la_medical.statistics.predictive_values import ppv_npv

TRUTH = np.array([0, 0, 0, 0, 1, 1, 1])
SCORE = np.array([0.1, 0.2, 0.3, 0.6, 0.3, 0.7, 0.9])


def test_threshold_for_a_specificity_is_the_lowest_that_keeps_it():
    # at >= 0.6 one of four negatives is positive: 0.75; at >= 0.3 two are; at >= 0.7 none
    assert thresholds.for_specificity(TRUTH, SCORE, 0.75) == 0.6
    assert thresholds.for_specificity(TRUTH, SCORE, 0.76) == 0.7
    assert thresholds.for_specificity(TRUTH, SCORE, 0.5) == 0.3


def test_threshold_for_a_specificity_compares_counts_not_rounded_rates():
    # 2 of 100 negatives above: specificity is 0.98, though 1 - 2/100 in floating point may fall short of it
    for wanted, over in ((0.98, 2), (0.9, 10), (0.93, 7), (0.71, 29)):
        truth = np.r_[np.zeros(100), 1]
        score = np.r_[np.zeros(100 - over), np.ones(over), 0.5]
        assert thresholds.for_specificity(truth, score, wanted) == 0.5


def test_no_score_keeps_the_specificity():
    threshold = thresholds.for_specificity([0, 0, 1], [0.9, 0.9, 0.5], 0.98)
    assert threshold > 0.9
    assert math.isfinite(threshold)


def test_threshold_for_a_sensitivity_and_youden():
    assert thresholds.for_sensitivity(TRUTH, SCORE, 2 / 3) == 0.7
    assert thresholds.for_sensitivity(TRUTH, SCORE, 1.0) == 0.3
    # J: 0.9 -> 1/3, 0.7 -> 2/3, 0.6 -> 2/3 - 1/4, 0.3 -> 1 - 1/2
    assert thresholds.youden(TRUTH, SCORE) == 0.7


def test_thresholds_need_their_kind_of_case():
    assert math.isnan(thresholds.for_specificity([1, 1], [0, 1], 0.9))
    assert math.isnan(thresholds.for_sensitivity([0, 0], [0, 1], 0.9))
    assert math.isnan(thresholds.youden([0, 0], [0, 1]))
    with pytest.raises(InputError, match="wanted specificity 98"):
        thresholds.for_specificity(TRUTH, SCORE, 98)
    with pytest.raises(InputError, match="wanted sensitivity 0:"):
        thresholds.for_sensitivity(TRUTH, SCORE, 0)
    with pytest.raises(InputError, match=r"wanted sensitivity 1\.5: expected above 0 and at most 1"):
        thresholds.for_sensitivity(TRUTH, SCORE, 1.5)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=40), st.floats(0.05, 1))
def test_the_specificity_is_kept_and_the_next_lower_score_breaks_it(rows, wanted):
    truth = np.array([t for t, _ in rows])
    score = np.array([s for _, s in rows]) / 6
    threshold = thresholds.for_specificity(truth, score, wanted)
    if truth.all():
        assert math.isnan(threshold)
        return
    negatives = score[~truth]
    assert (negatives < threshold).mean() >= wanted - 1e-9
    lower = score[score < threshold]
    if len(lower):
        assert (negatives < lower.max()).mean() < wanted


def test_predictive_values_by_hand():
    # sensitivity 0.9, specificity 0.8, prevalence 0.1: 0.09 / (0.09 + 0.18) = 1/3; 0.72 / (0.72 + 0.01) = 72/73
    ppv, npv = ppv_npv(90, 100, 160, 200, prevalence=0.1)
    assert ppv.estimate == pytest.approx(1 / 3)
    assert npv.estimate == pytest.approx(72 / 73)
    error = math.sqrt(0.1 / 0.9 / 100 + 0.8 / 0.2 / 200)
    assert math.log(ppv.low / (1 - ppv.low)) == pytest.approx(math.log(0.5) - 1.959964 * error, abs=1e-6)
    assert npv.low < npv.estimate < npv.high


def test_predictive_values_at_the_cohorts_own_prevalence_are_the_plain_shares():
    ppv, npv = ppv_npv(30, 40, 50, 60, prevalence=0.4)
    assert ppv.estimate == pytest.approx(30 / (30 + 10))
    assert npv.estimate == pytest.approx(50 / (50 + 10))


def test_perfect_rates_still_get_an_interval():
    ppv, npv = ppv_npv(50, 50, 80, 80, prevalence=0.02)
    assert (ppv.estimate, ppv.high) == (1.0, 1.0)
    z2 = 1.959964**2
    sensitivity, specificity = (50 + z2 / 2) / (50 + z2), (80 + z2 / 2) / (80 + z2)
    error = math.sqrt((1 / sensitivity - 1) / (50 + z2) + specificity / (1 - specificity) / (80 + z2))
    odds = 0.02 / 0.98 * sensitivity / (1 - specificity) * math.exp(-1.959964 * error)
    assert ppv.low == pytest.approx(odds / (1 + odds), abs=1e-6)
    assert "adjusted" in npv.method


def test_predictive_values_that_do_not_exist():
    ppv, npv = ppv_npv(0, 10, 20, 20, prevalence=0.1)
    assert (ppv.defined, ppv.reason) == (False, "nothing is called positive")
    assert npv.estimate == pytest.approx(0.9)
    assert ppv_npv(0, 0, 1, 2, prevalence=0.1)[0].reason == "no positives with a known label"
    with pytest.raises(InputError, match="prevalence 2"):
        ppv_npv(1, 2, 1, 2, prevalence=2)


def test_reliability_bins_by_hand():
    truth, probability = [0, 1, 1, 1, 0], [0.05, 0.1, 0.95, 1.0, 0.0]
    found = calibration.reliability(truth, probability)
    np.testing.assert_array_equal(found.count, [2, 1, 2])
    np.testing.assert_allclose(found.low_edge, [0, 0.1, 0.9])
    np.testing.assert_allclose(found.mean_probability, [0.025, 0.1, 0.975])
    np.testing.assert_allclose(found.observed, [0, 1, 1])
    np.testing.assert_allclose(found.observed_low, wilson([0, 1, 2], [2, 1, 2])[0])
    # two cases are 0.025 off, one 0.9 and two 0.025
    assert calibration.expected_calibration_error(truth, probability) == pytest.approx(0.2)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=50),
    st.sampled_from(["uniform", "quantile"]),
)
def test_bins_hold_every_case_once(rows, strategy):
    truth, probability = np.array([t for t, _ in rows]), np.array([p for _, p in rows])
    found = calibration.reliability(truth, probability, strategy=strategy)
    assert found.count.sum() == len(rows)
    assert found.positives.sum() == truth.sum()
    assert (found.low_edge <= found.mean_probability + 1e-9).all()
    assert (found.mean_probability <= found.high_edge + 1e-9).all()
    assert calibration.brier(truth, probability) == pytest.approx(brier_score_loss(truth, probability))


def test_calibration_without_cases_or_probabilities():
    assert math.isnan(calibration.brier([], []))
    assert math.isnan(calibration.expected_calibration_error([], []))
    with pytest.raises(InputError, match="not logits"):
        calibration.brier([1], [1.5])


def test_width_sample_size_is_the_smallest():
    n = sample_size.for_width(0.9, 0.05)
    halves = [np.diff(wilson(0.9 * size, size))[0] / 2 for size in (n - 1, n)]
    assert halves[0] > 0.05 >= halves[1]


def test_lower_bound_sample_size_keeps_its_power():
    n = sample_size.for_lower_bound(0.95, 0.85)

    def power(size):
        return sum(binom.pmf(k, size, 0.95) for k in range(size + 1) if clopper_pearson(k, size)[0] >= 0.85)

    assert power(n) >= 0.8
    assert power(n - 1) < 0.8


def test_auc_sample_size_grows_with_precision():
    assert sample_size.for_auc(0.9, 0.02) > sample_size.for_auc(0.9, 0.05) > 0
    assert sample_size.for_auc(0.9, 0.05, negatives_per_positive=4) < sample_size.for_auc(0.9, 0.05)


def test_paired_sample_size_by_hand():
    # Connor (1987): shares 0.10 and 0.05: (1.96 sqrt(0.15) + 0.8416 sqrt(0.15 - 0.0025))^2 / 0.0025 = 468.4
    assert sample_size.for_paired_difference(0.10, 0.05) == 469


def test_cohort_and_refusals():
    assert sample_size.cohort(50, 0.02) == 2500
    assert sample_size.cohort(3, 0.1) == 30
    for wrong in (
        lambda: sample_size.for_width(1.0, 0.05),
        lambda: sample_size.for_lower_bound(0.8, 0.9),
        lambda: sample_size.for_paired_difference(0.1, 0.1),
        lambda: sample_size.cohort(3, 0),
    ):
        with pytest.raises(InputError):
            wrong()
