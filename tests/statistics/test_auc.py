"""ROC areas against hand-worked fractions, scikit-learn and slow definitions."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn import metrics

from la_medical.errors import InputError
from la_medical.statistics import auc

HALF_STEPS = st.integers(0, 8).map(lambda step: step / 8)
cases = st.lists(st.tuples(st.booleans(), HALF_STEPS), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(truth for truth, _ in rows) < len(rows)
)


def _arrays(rows):
    return np.array([truth for truth, _ in rows]), np.array([score for _, score in rows])


def _slow_delong(truth, score):
    """Placement values by the definition: a loop over all pairs."""
    positive, negative = score[truth], score[~truth]
    psi = (positive[:, None] > negative[None]) + 0.5 * (positive[:, None] == negative[None])
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return psi.mean(), v10.var(ddof=1) / len(positive) + v01.var(ddof=1) / len(negative)


def test_worked_by_hand_with_a_tie():
    # positives 0.9, 0.5; negatives 0.5, 0.1, 0.7: pairs won 3 + (0.5 + 1 + 0) = 4.5 of 6
    truth, score = [1, 1, 0, 0, 0], [0.9, 0.5, 0.5, 0.1, 0.7]
    assert auc.auroc(truth, score) == pytest.approx(4.5 / 6)
    # V10 = (1, 1/2), V01 = (3/4, 1, 1/2): S10 = 1/8, S01 = 1/16; variance = 1/16 + 1/48 = 1/12
    areas, covariance = auc.delong_covariance(truth, np.array([score]))
    assert areas == pytest.approx([0.75])
    assert covariance == pytest.approx(np.array([[1 / 12]]))
    found = auc.delong(truth, score)
    assert found.low == pytest.approx(0.75 - 1.959964 * math.sqrt(1 / 12), abs=1e-6)
    assert found.high == 1.0
    assert found.method == "DeLong 95%"


@given(cases)
def test_auroc_average_precision_and_curve_equal_scikit_learn(rows):
    truth, score = _arrays(rows)
    assert auc.auroc(truth, score) == pytest.approx(metrics.roc_auc_score(truth, score), abs=1e-12)
    assert auc.average_precision(truth, score) == pytest.approx(
        metrics.average_precision_score(truth, score), abs=1e-14
    )
    fpr, tpr, thresholds = metrics.roc_curve(truth, score, drop_intermediate=False)
    curve = auc.roc_curve(truth, score)
    np.testing.assert_allclose(curve.fpr, fpr)
    np.testing.assert_allclose(curve.tpr, tpr)
    np.testing.assert_array_equal(curve.thresholds, thresholds)


@given(cases, st.sampled_from([0.0, 0.5, 0.8, 0.95]))
def test_standardised_partial_area_equals_scikit_learn(rows, specificity):
    truth, score = _arrays(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.roc_auc_score(truth, score, max_fpr=1 - specificity)
    assert auc.partial_auc(truth, score, min_specificity=specificity) == pytest.approx(expected, abs=1e-12)


def test_partial_area_without_standardising_is_mean_sensitivity():
    # perfect separation: sensitivity 1 over the whole range; all scores equal: sensitivity = fpr, mean width/2
    assert auc.partial_auc([0, 0, 1, 1], [1, 2, 3, 4], standardised=False) == pytest.approx(1.0)
    assert auc.partial_auc([0, 1], [1, 1], min_specificity=0.8, standardised=False) == pytest.approx(0.1)


@given(cases.filter(lambda rows: 1 < sum(t for t, _ in rows) < len(rows) - 1))
def test_delong_equals_the_definition(rows):
    truth, score = _arrays(rows)
    area, variance = _slow_delong(truth, score)
    areas, covariance = auc.delong_covariance(truth, score[None])
    assert areas[0] == pytest.approx(area, abs=1e-12)
    assert covariance[0, 0] == pytest.approx(variance, abs=1e-12)


@given(cases)
def test_intervals_contain_the_area(rows):
    truth, score = _arrays(rows)
    for scale in ("plain", "logit"):
        found = auc.delong(truth, score, scale=scale)
        assert 0 <= found.low <= found.estimate + 1e-12
        assert found.estimate - 1e-12 <= found.high <= 1
        assert found.low < found.high  # never a point


@given(cases, st.randoms(use_true_random=False))
def test_order_of_cases_and_monotone_changes_do_not_matter(rows, random):
    truth, score = _arrays(rows)
    random.shuffle(rows)
    shuffled_truth, shuffled_score = _arrays(rows)
    for statistic in (auc.auroc, auc.average_precision, auc.partial_auc):
        assert statistic(shuffled_truth, np.exp(3 * shuffled_score)) == pytest.approx(
            statistic(truth, score), abs=1e-12
        )


@given(cases)
def test_turning_the_score_mirrors_the_area(rows):
    truth, score = _arrays(rows)
    assert auc.auroc(truth, -score) == pytest.approx(1 - auc.auroc(truth, score), abs=1e-12)


def test_covariance_of_two_scores_equals_the_definition():
    generator = np.random.default_rng(3)
    truth = generator.random(50) < 0.4
    scores = np.round(generator.random((2, 50)) + 0.3 * truth, 1)
    psi = [(s[truth][:, None] > s[~truth][None]) + 0.5 * (s[truth][:, None] == s[~truth][None]) for s in scores]
    expected = (
        np.cov([p.mean(axis=1) for p in psi]) / truth.sum() + np.cov([p.mean(axis=0) for p in psi]) / (~truth).sum()
    )
    np.testing.assert_allclose(auc.delong_covariance(truth, scores)[1], expected, atol=1e-14)


def test_perfect_separation_gets_no_point_interval():
    found = auc.delong([0, 0, 0, 1, 1], [1, 2, 3, 4, 5])
    assert found.estimate == 1.0
    assert found.high == 1.0
    # Newcombe, method 5: (1 - t)^2 = z^2 V(t), with m = 2, n = 3 and N* = 2.5
    t, z2 = found.low, 1.959964**2
    variance = t * (1 - t) * (1 + 1.5 * ((1 - t) / (2 - t) + t / (1 + t))) / 6
    assert (1 - t) ** 2 == pytest.approx(z2 * variance, abs=1e-6)
    assert 0 < found.low < 0.8
    assert "DeLong's variance is 0" in found.method
    reverse = auc.delong([0, 0, 0, 1, 1], [5, 4, 3, 2, 1])
    assert (reverse.estimate, reverse.low) == (0.0, 0.0)
    assert 0.2 < reverse.high < 1


def test_one_positive_falls_back_and_says_so():
    found = auc.delong([1, 0, 0, 0], [2, 1, 3, 0])
    assert found.estimate == pytest.approx(2 / 3)
    assert "fewer than 2 of a kind" in found.method
    assert found.low < 2 / 3 < found.high


def test_more_cases_narrow_the_newcombe_interval():
    widths = [high - low for low, high in (auc.newcombe(0.9, n, n) for n in (5, 50, 500))]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.05


@pytest.mark.parametrize(("positives", "negatives"), [(1, 30), (100, 1), (2, 1000)])
def test_newcombe_with_few_of_one_kind(positives, negatives):
    """Beyond t = 1 the variance of so unequal numbers is positive again; the interval ends at 1 all the same."""

    def excess(t):
        spread = 1 + ((positives + negatives) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return (0.99 - t) ** 2 - 1.959963984540054**2 * t * (1 - t) * spread / (positives * negatives)

    expected = brentq(excess, 0, 0.99, xtol=1e-14), brentq(excess, 0.99, 1, xtol=1e-14)
    assert auc.newcombe(0.99, positives, negatives) == pytest.approx(expected, abs=1e-12)
    assert auc.newcombe(1.0, positives, negatives)[1] == 1.0


@pytest.mark.parametrize(
    ("truth", "reason"),
    [([1, 1], "no negatives with a known label"), ([0, 0], "no positives with a known label")],
)
def test_one_kind_only_is_undefined_with_the_reason(truth, reason):
    found = auc.delong(truth, [0.1, 0.2])
    assert not found.defined
    assert found.reason == reason
    assert math.isnan(auc.auroc(truth, [0.1, 0.2]))
    assert math.isnan(auc.partial_auc(truth, [0.1, 0.2]))


def test_one_kind_only_in_full():
    assert auc.delong([1, 1, 1], [1, 2, 3]).to_dict() == {
        "estimate": None, "low": None, "high": None, "numerator": None, "denominator": 3,
        "method": "DeLong", "reason": "no negatives with a known label",
    }  # fmt: skip


def test_an_interval_on_the_log_odds_by_hand():
    # area 3/4 and variance 1/12 as above
    found = auc.delong([1, 1, 0, 0, 0], [0.9, 0.5, 0.5, 0.1, 0.7], scale="logit", confidence=0.9)
    spread = 1.6448536 * math.sqrt(1 / 12) / (0.75 * 0.25)
    odds = [3 * math.exp(side * spread) for side in (-1, 1)]
    assert (found.low, found.high) == pytest.approx([value / (1 + value) for value in odds])
    assert found.method == "DeLong on the log-odds 90%"


@pytest.mark.parametrize(
    ("truth", "score", "area", "why"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], 1.0, "DeLong's variance is 0"),
        ([0, 0, 1, 1], [4, 3, 2, 1], 0.0, "DeLong's variance is 0"),
        ([0, 0, 0, 1], [1, 3, 0, 2], 2 / 3, "fewer than 2 of a kind"),
    ],
)
def test_the_interval_instead_of_a_point(truth, score, area, why):
    found = auc.delong(truth, score, confidence=0.8)
    positives, negatives = truth.count(1), truth.count(0)
    assert (found.low, found.high) == auc.newcombe(area, positives, negatives, 0.8)
    assert found.method == f"Newcombe score 80% ({why})"
    assert found.estimate == pytest.approx(area)
    for bound in (found.low, found.high):  # Newcombe's equation at both ends, or the end of the scale
        spread = 1 + ((positives + negatives) / 2 - 1) * ((1 - bound) / (2 - bound) + bound / (1 + bound))
        variance = bound * (1 - bound) * spread / (positives * negatives)
        assert bound in (0.0, 1.0) or (area - bound) ** 2 == pytest.approx(1.2815516**2 * variance, rel=1e-6)


def test_a_curve_of_nobody_is_the_point_where_nobody_is_called():
    curve = auc.roc_curve([], [])
    assert curve.thresholds.tolist() == [math.inf]
    assert np.isnan(curve.fpr).all()
    assert np.isnan(curve.tpr).all()


@pytest.mark.parametrize("dtype", ["Int64", "uint8"])
def test_scores_of_whole_numbers(dtype):
    """The negative of an unsigned number is a large one."""
    score = pd.Series([0, 1, 2], dtype=dtype)
    assert auc.auroc([0, 1, 1], score) == auc.average_precision([0, 1, 1], score) == 1.0
    assert auc.roc_curve([0, 1, 1], score).thresholds.tolist() == [math.inf, 2, 1, 0]


def test_no_case_at_all():
    assert auc.delong([], []).reason == "no positives and no negatives with a known label"
    assert math.isnan(auc.average_precision([], []))


def test_end_points_of_the_curve_are_there():
    # binary scores: the point where all is positive must not be lost
    curve = auc.roc_curve([1, 1, 0, 0], [1, 1, 0, 0])
    np.testing.assert_array_equal(curve.fpr, [0, 0, 1])
    np.testing.assert_array_equal(curve.tpr, [0, 1, 1])
    np.testing.assert_array_equal(curve.thresholds, [np.inf, 1, 0])


def test_infinite_scores_are_ordered():
    assert auc.auroc([0, 0, 1], [-math.inf, -math.inf, 0.0]) == 1.0
    assert len(auc.roc_curve([0, 0, 1], [-math.inf, -math.inf, 0.0]).fpr) == 3


@pytest.mark.parametrize(
    ("truth", "score", "said"),
    [
        ([0, 1], [0.1], "expected"),
        ([0, 2], [0.1, 0.2], "0 and 1"),
        ([0, float("nan")], [0.1, 0.2], "0 and 1"),
        ([0, 1], [0.1, float("nan")], "1 NaN"),
    ],
)
def test_bad_input_is_refused(truth, score, said):
    with pytest.raises(InputError, match=said):
        auc.auroc(truth, score)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_delong_interval_covers_about_as_often_as_it_says(seed):
    # 100 binormal samples of 30 + 30 with AUC 0.8: coverage of a 95% interval lies well above 0.85
    generator = np.random.default_rng(seed)
    shift = math.sqrt(2) * 0.8416212
    truth = np.r_[np.ones(30, bool), np.zeros(30, bool)]
    inside = 0
    for _ in range(100):
        found = auc.delong(truth, generator.normal(size=60) + shift * truth, scale="logit")
        inside += found.low <= 0.8 <= found.high
    assert inside >= 83
